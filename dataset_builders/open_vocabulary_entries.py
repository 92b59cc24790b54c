"""Entries of the registry that SegEarth-OV (arXiv 2410.01768) evaluates on beyond those of S5."""

from __future__ import annotations

from dataclasses import replace

from .citations import (
    CHN6_CUG_CITATION,
    DEEPGLOBE_CITATION,
    INRIA_CITATION,
    MASSACHUSETTS_CITATION,
    SPACENET_CITATION,
    UAVID_CITATION,
    UDD_CITATION,
    VDD_CITATION,
    WBS_SI_CITATION,
    WHU_CITATION,
    XBD_CITATION,
)
from .entry import DatasetEntry, EvaluationProtocol
from .labels import UAVID_LABELS, UAVID_PALETTE, UDD5_LABELS, UDD5_PALETTE, VDD_LABELS

__all__ = ["OPEN_VOCABULARY_ENTRIES"]

# Entries look alike because they are data, as in registry.py.

_HOMEPAGE = "see the homepage"
_SPLITS = ("train", "val", "test")
_FOREGROUND = EvaluationProtocol(metric="mIoU", excluded_classes=("background",), note="The IoU of the one class.")
_BINARY = DatasetEntry(
    name="s5-whu-aerial",
    title="WHU Building, aerial",
    task="segmentation",
    builder=f"{__package__}.whu_aerial.WHUAerial",
    splits=_SPLITS,
    labels=("background", "building"),
    palette=((0, 0, 0), (255, 255, 255)),
    ignore_index=255,
    evaluation=_FOREGROUND,
    licence=_HOMEPAGE,
    citation=WHU_CITATION,
    homepage="https://gpcv.whu.edu.cn/data/building_dataset.html",
)
_ROADS = replace(_BINARY, labels=("background", "road"), evaluation=replace(_FOREGROUND, split="test"))

OPEN_VOCABULARY_ENTRIES = (
    DatasetEntry(
        name="s5-uavid",
        title="UAVid",
        task="segmentation",
        builder=f"{__package__}.uavid.UAVid",
        splits=_SPLITS,
        labels=UAVID_LABELS,
        palette=UAVID_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(
            metric="mIoU", split="test", note="SegEarth-OV cuts images into crops of 1280 x 1080 px."
        ),
        licence="CC BY-NC-SA 4.0",
        citation=UAVID_CITATION,
        homepage="https://www.uavid.nl/",
    ),
    DatasetEntry(
        name="s5-udd5",
        title="UDD5",
        task="segmentation",
        builder=f"{__package__}.udd5.UDD5",
        splits=("train", "val"),
        labels=UDD5_LABELS,
        palette=UDD5_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(metric="mIoU"),
        licence=_HOMEPAGE,
        citation=UDD_CITATION,
        homepage="https://github.com/MarcWong/UDD",
    ),
    DatasetEntry(
        name="s5-vdd",
        title="VDD",
        task="segmentation",
        builder=f"{__package__}.vdd.VDD",
        splits=_SPLITS,
        labels=VDD_LABELS,
        ignore_index=255,
        evaluation=EvaluationProtocol(metric="mIoU", split="test"),
        licence="For non-commercial purposes, by the terms of the authors",
        citation=VDD_CITATION,
        homepage="https://github.com/RussRobin/VDD",
    ),
    _BINARY,
    replace(
        _BINARY,
        name="s5-whu-satellite-2",
        title="WHU Building, satellite dataset II",
        builder=f"{__package__}.whu_satellite.WHUSatellite2",
        splits=("train", "test"),
        evaluation=replace(_FOREGROUND, split="test"),
    ),
    replace(
        _BINARY,
        name="s5-inria",
        title="Inria Aerial Image Labeling",
        builder=f"{__package__}.inria.Inria",
        evaluation=replace(
            _FOREGROUND,
            split="test",
            note="The IoU of the one class, on 27 tiles of the publisher's train folder that FCtL set aside. "
            "SegEarth-OV cuts them into crops of 1000 px.",
        ),
        citation=INRIA_CITATION,
        homepage="https://project.inria.fr/aerialimagelabeling/",
    ),
    replace(
        _BINARY,
        name="s5-xbd-pre",
        title="xBD before disasters",
        builder=f"{__package__}.xbd.XBDPre",
        evaluation=replace(_FOREGROUND, split="test"),
        licence="CC BY-NC-SA 4.0",
        citation=XBD_CITATION,
        homepage="https://xview2.org/",
    ),
    replace(
        _ROADS,
        name="s5-chn6-cug",
        title="CHN6-CUG",
        builder=f"{__package__}.chn6_cug.CHN6CUG",
        splits=("train", "val"),
        evaluation=_FOREGROUND,
        citation=CHN6_CUG_CITATION,
        homepage="https://grzy.cug.edu.cn/zhuqiqi/zh_CN/yjgk/32368/list/index.htm",
    ),
    replace(
        _ROADS,
        name="s5-deepglobe-roads",
        title="DeepGlobe Road Extraction",
        builder=f"{__package__}.deepglobe_roads.DeepGlobeRoads",
        evaluation=replace(
            _FOREGROUND, split="test", note="The IoU of the one class, on the 1530 test images of GlobalRoadSet."
        ),
        licence="For non-commercial research, by the terms of the challenge",
        citation=DEEPGLOBE_CITATION,
        homepage="https://competitions.codalab.org/competitions/18467",
    ),
    replace(
        _ROADS,
        name="s5-massachusetts-roads",
        title="Massachusetts Roads",
        builder=f"{__package__}.massachusetts_roads.MassachusettsRoads",
        citation=MASSACHUSETTS_CITATION,
        homepage="https://www.cs.toronto.edu/~vmnih/data/",
    ),
    replace(
        _ROADS,
        name="s5-spacenet-roads",
        title="SpaceNet roads",
        builder=f"{__package__}.spacenet_roads.SpaceNetRoads",
        configs=("default", "graphs"),
        config_labels={"graphs": ()},
        config_tasks={"graphs": "road graph"},
        citation=SPACENET_CITATION,
        homepage="https://github.com/xiaoyan07/GRNet_GRSet",
    ),
    replace(
        _BINARY,
        name="s5-wbs-si",
        title="WBS-SI",
        builder=f"{__package__}.wbs_si.WBSSI",
        splits=("train", "val"),
        labels=("background", "water"),
        palette=((0, 0, 0), (0, 235, 255)),
        citation=WBS_SI_CITATION,
        homepage="https://www.kaggle.com/datasets/shirshmall/water-body-segmentation-in-satellite-images",
    ),
)
