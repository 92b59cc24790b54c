"""Entries of the registry for datasets of changes between two dates."""

from __future__ import annotations

from .entry import DatasetEntry

__all__ = ["CHANGE_ENTRIES"]

# Entries look alike because they are data, as in registry.py.

CHANGE_ENTRIES = (
    DatasetEntry(
        name="s5-image-pair-mask",
        title="Your own images of two dates and masks of changes",
        task="change",
        builder=f"{__package__}.image_pair_mask.ImagePairMask",
        splits=("train", "val", "test", "unlabelled"),
        labels=("unchanged", "changed"),
        palette=((0, 0, 0), (255, 255, 255)),
        ignore_index=255,
    ),
)
