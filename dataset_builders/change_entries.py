"""Entries of the registry for datasets of changes between two dates."""

from __future__ import annotations

from dataclasses import replace

from .citations import (
    BANDON_CITATION,
    LEVIR_CC_CITATION,
    LEVIR_CD_CITATION,
    S2LOOKING_CITATION,
    SECOND_CITATION,
    WHU_CITATION,
)
from .entry import DatasetEntry, EvaluationProtocol
from .labels import SECOND_LABELS, SECOND_PALETTE

__all__ = ["CHANGE_ENTRIES"]

# Entries look alike because they are data, as in registry.py.

_HOMEPAGE = "see the homepage"
_OWN = DatasetEntry(
    name="s5-image-pair-mask",
    title="Your own images of two dates and masks of changes",
    task="change",
    builder=f"{__package__}.image_pair_mask.ImagePairMask",
    splits=("train", "val", "test", "unlabelled"),
    labels=("unchanged", "changed"),
    palette=((0, 0, 0), (255, 255, 255)),
    ignore_index=255,
    evaluation=EvaluationProtocol(metric="F1"),
)
_BUILDINGS = replace(
    _OWN,
    splits=("train", "val", "test"),
    evaluation=EvaluationProtocol(metric="F1", split="test", note="F1 and IoU of changed pixels."),
    licence=_HOMEPAGE,
)

CHANGE_ENTRIES = (
    DatasetEntry(
        name="s5-levir-cc",
        title="LEVIR-CC",
        task="captioning",
        builder=f"{__package__}.levir_cc.LEVIRCC",
        splits=("train", "val", "test"),
        licence="academic use only, see the homepage",
        citation=LEVIR_CC_CITATION,
        homepage="https://github.com/Chen-Yang-Liu/RSICC",
    ),
    replace(
        _BUILDINGS,
        name="s5-levir-cd",
        title="LEVIR-CD",
        builder=f"{__package__}.levir_cd.LEVIRCD",
        licence="academic use only, see the homepage",
        citation=LEVIR_CD_CITATION,
        homepage="https://justchenhao.github.io/LEVIR/",
    ),
    replace(
        _BUILDINGS,
        name="s5-whu-cd",
        title="WHU Building, change detection",
        builder=f"{__package__}.whu_cd.WHUCD",
        citation=WHU_CITATION,
        homepage="https://gpcv.whu.edu.cn/data/building_dataset.html",
    ),
    replace(
        _BUILDINGS,
        name="s5-s2looking",
        title="S2Looking",
        builder=f"{__package__}.s2looking.S2Looking",
        citation=S2LOOKING_CITATION,
        homepage="https://github.com/S2Looking/Dataset",
    ),
    replace(
        _BUILDINGS,
        name="s5-bandon",
        title="BANDON",
        builder=f"{__package__}.bandon.BANDON",
        splits=("train", "val", "test", "test_ood"),
        citation=BANDON_CITATION,
        homepage="https://github.com/fitzpchao/BANDON",
    ),
    replace(
        _BUILDINGS,
        name="s5-second",
        title="SECOND",
        builder=f"{__package__}.second.SECOND",
        labels=SECOND_LABELS,
        palette=SECOND_PALETTE,
        evaluation=EvaluationProtocol(
            metric="F1", split="test", note="A class changed where it is that of either date; or SeK and Fscd."
        ),
        citation=SECOND_CITATION,
        homepage="https://captain-whu.github.io/SCD/",
    ),
    _OWN,
)
