"""The one place that knows each dataset: classes, colours, ignore index, evaluation, licence, citation.

To add a dataset, write one builder file beside this one and add one entry to `REGISTRY`. The builder is named as a
dotted path and imported only when it is used, so this module stays free of heavy imports.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from .change_entries import CHANGE_ENTRIES
from .citations import (
    DEEPGLOBE_CITATION,
    DIOR_R_CITATION,
    DOTA_CITATION,
    ISAID_CITATION,
    ISPRS_CITATION,
    LOVEDA_CITATION,
    MILLION_AID_CITATION,
    OPENEARTHMAP_CITATION,
    S5_CITATION,
    SAMRS_CITATION,
    STAR_CITATION,
)
from .class_names import named_classes
from .entry import DatasetEntry, EvaluationProtocol
from .labels import (
    DEEPGLOBE_LABELS,
    DEEPGLOBE_PALETTE,
    DIOR_R_LABELS,
    DOTA_LABELS,
    ISAID_LABELS,
    ISAID_PALETTE,
    ISPRS_LABELS,
    ISPRS_PALETTE,
    LOVEDA_LABELS,
    LOVEDA_PALETTE,
    OPENEARTHMAP_LABELS,
    OPENEARTHMAP_PALETTE,
)
from .open_vocabulary_entries import OPEN_VOCABULARY_ENTRIES
from .reasoning_entries import REASONING_ENTRIES
from .road_entries import ROAD_ENTRIES


def get_entry(name: str) -> DatasetEntry:
    """The registry's entry called `name`.

    Raises:
        KeyError: if there is none; the message lists the known names and the closest one.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    candidates = difflib.get_close_matches(name, [*REGISTRY, f"s5-{name}"], n=1)
    hint = f" Did you mean {candidates[0]!r}?" if candidates and candidates[0] in REGISTRY else ""
    hint = f" Did you mean 's5-{name}'?" if f"s5-{name}" in REGISTRY else hint
    raise KeyError(f"unknown dataset {name!r}.{hint} Known: {', '.join(sorted(REGISTRY))}")


_ACADEMIC = "academic use only, see the homepage"


# What datasets share is said once, and an entry names only what sets it apart.
_UNLABELLED = DatasetEntry("", "", "unlabelled", "", splits=("train",), licence=_ACADEMIC)
_ISPRS = DatasetEntry(
    name="s5-vaihingen",
    title="ISPRS Vaihingen",
    task="segmentation",
    builder=f"{__package__}.vaihingen.Vaihingen",
    labels=ISPRS_LABELS,
    palette=ISPRS_PALETTE,
    ignore_index=5,
    evaluation=EvaluationProtocol(metric="mIoU", image_size=512, flip_augmentation=True),
    splits=("train", "val"),
    licence=_ACADEMIC,
    citation=ISPRS_CITATION,
    homepage="https://www.isprs.org/education/benchmarks/UrbanSemLab/2d-sem-label-vaihingen.aspx",
)

# Entries look alike because they are data.
_ENTRIES = (
    replace(
        _UNLABELLED,
        name="rs4p-1m",
        title="RS4P-1M",
        builder=f"{__package__}.rs4p_1m.RS4P1M",
        labels=ISAID_LABELS,  # of the pseudo-masks
        palette=ISAID_PALETTE,
        ignore_index=255,
        licence="that of its sources (MillionAID, SAMRS, STAR)",
        citation=S5_CITATION,
        homepage="https://github.com/MiliLab/S5",
    ),
    DatasetEntry(
        name="s5-isaid",
        title="iSAID",
        task="segmentation",
        builder=f"{__package__}.isaid.ISAID",
        labels=ISAID_LABELS,
        palette=ISAID_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(metric="mIoU", excluded_classes=("background",)),
        splits=("train", "val"),
        licence=_ACADEMIC,
        citation=ISAID_CITATION,
        homepage="https://captain-whu.github.io/iSAID/",
    ),
    _ISPRS,
    replace(
        _ISPRS,
        name="s5-potsdam",
        title="ISPRS Potsdam",
        builder=f"{__package__}.potsdam.Potsdam",
        evaluation=replace(_ISPRS.evaluation, metric="mF1"),
        homepage="https://www.isprs.org/education/benchmarks/UrbanSemLab/2d-sem-label-potsdam.aspx",
    ),
    DatasetEntry(
        name="s5-loveda",
        title="LoveDA",
        task="segmentation",
        builder=f"{__package__}.loveda.LoveDA",
        labels=LOVEDA_LABELS,
        palette=LOVEDA_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(
            metric="mIoU",
            image_size=1024,
            window=512,
            note="Published on the test split by upload; val serves for ablations. The released multi-dataset model "
            "was trained on train and val, so its val score means nothing.",
        ),
        splits=("train", "val", "test"),
        licence="CC BY-NC-SA 4.0",
        citation=LOVEDA_CITATION,
        homepage="https://github.com/Junjue-Wang/LoveDA",
    ),
    DatasetEntry(
        name="s5-deepglobe-landcover",
        title="DeepGlobe Land Cover",
        task="segmentation",
        builder=f"{__package__}.deepglobe.DeepGlobeLandCover",
        labels=DEEPGLOBE_LABELS,
        palette=DEEPGLOBE_PALETTE,
        ignore_index=6,
        evaluation=EvaluationProtocol(
            metric="mIoU",
            split="test",
            image_size=512,
            note="Masks are published for train only: `s5-hf label-shares` divides it. Unknown is ignored.",
        ),
        splits=("train", "val", "test"),
        licence="For non-commercial research, by the terms of the challenge",
        citation=DEEPGLOBE_CITATION,
        homepage="https://competitions.codalab.org/competitions/18468",
    ),
    DatasetEntry(
        name="s5-openearthmap",
        title="OpenEarthMap",
        task="segmentation",
        builder=f"{__package__}.openearthmap.OpenEarthMap",
        labels=OPENEARTHMAP_LABELS,
        palette=OPENEARTHMAP_PALETTE,
        ignore_index=255,
        evaluation=EvaluationProtocol(
            metric="mIoU", resize=512, note="Report native-size sliding windows beside the resized protocol."
        ),
        splits=("train", "val"),
        licence="CC BY-NC-SA 4.0 for the labels, that of each source for the images",
        citation=OPENEARTHMAP_CITATION,
        homepage="https://open-earth-map.org/",
    ),
    DatasetEntry(
        name="s5-dior-r",
        title="DIOR-R",
        task="detection",
        builder=f"{__package__}.dior_r.DIORR",
        labels=DIOR_R_LABELS,
        evaluation=EvaluationProtocol(
            metric="mAP",
            split="test",
            image_size=800,
            resize=1024,
            intersection_threshold=0.5,
            average_precision="voc07",
            difficult_counted=True,
            note="Difficult objects count.",
        ),
        splits=("train", "val", "trainval", "test"),
        licence=_ACADEMIC,
        citation=DIOR_R_CITATION,
        homepage="https://gcheng-nwpu.github.io/#Datasets",
    ),
    DatasetEntry(
        name="s5-dota",
        title="DOTA",
        task="detection",
        builder=f"{__package__}.dota.DOTA",
        labels=DOTA_LABELS,
        evaluation=EvaluationProtocol(
            metric="mAP",
            split="test",
            image_size=1024,
            window=1024,
            intersection_threshold=0.5,
            average_precision="area",
            note="Published on the test split by upload. iSAID images are DOTA-v1 images: train and val are not clean "
            "after S4 pre-training. Difficult objects are ignored.",
        ),
        splits=("train", "val", "test"),
        licence=_ACADEMIC,
        citation=DOTA_CITATION,
        homepage="https://captain-whu.github.io/DOTA/",
        configs=("v2.0", "v1.5", "v1.0"),
        config_labels={"v1.5": DOTA_LABELS[:16], "v1.0": DOTA_LABELS[:15]},
    ),
    replace(
        _UNLABELLED,
        name="s5-million-aid",
        title="Million-AID",
        builder=f"{__package__}.million_aid.MillionAID",
        citation=MILLION_AID_CITATION,
        homepage="https://captain-whu.github.io/DiRS/",
    ),
    replace(
        _UNLABELLED,
        name="s5-samrs",
        title="SAMRS",
        builder=f"{__package__}.samrs.SAMRS",
        citation=SAMRS_CITATION,
        homepage="https://github.com/ViTAE-Transformer/SAMRS",
    ),
    replace(
        _UNLABELLED,
        name="s5-star",
        title="STAR",
        builder=f"{__package__}.star.STAR",
        licence="CC BY-NC-SA 4.0",
        citation=STAR_CITATION,
        homepage="https://linlin-dev.github.io/project/STAR",
    ),
    DatasetEntry(
        name="s5-images",
        title="Your own images",
        task="unlabelled",
        builder=f"{__package__}.image_folder.ImageFolder",
        splits=("train",),
    ),
    DatasetEntry(
        name="s5-image-mask",
        title="Your own images and masks",
        task="segmentation",
        builder=f"{__package__}.image_mask.ImageMask",
        ignore_index=255,
        evaluation=EvaluationProtocol(metric="mIoU"),
        splits=("train", "val", "test"),
    ),
    DatasetEntry(
        name="s5-oriented",
        title="Your own images with oriented boxes",
        task="detection",
        builder=f"{__package__}.oriented.Oriented",
        evaluation=EvaluationProtocol(metric="mAP", intersection_threshold=0.5, average_precision="area"),
        splits=("train", "val", "test"),
    ),
)

REGISTRY: dict[str, DatasetEntry] = {
    entry.name: replace(entry, open_vocabulary=named_classes(entry.name))
    for entry in (*_ENTRIES, *OPEN_VOCABULARY_ENTRIES, *CHANGE_ENTRIES, *ROAD_ENTRIES, *REASONING_ENTRIES)
}
