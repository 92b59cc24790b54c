"""The columns of every dataset, one function per task. Images are lazy: they decode when a column is read."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import ClassLabel, Features, Image, List, Value


def segmentation_features() -> Features:
    """`image` (RGB), `mask` (one channel, class ids with the registry's ignore index; None without labels), `id`."""
    return Features({"image": Image(), "mask": Image(), "id": Value("string")})


def unlabelled_features() -> Features:
    """`image`, `id`, `source` (the archive or sub-archive that the image comes from)."""
    return Features({"image": Image(), "id": Value("string"), "source": Value("string")})


def curated_features() -> Features:
    """Unlabelled columns and what curation found: `pseudo_mask` (class ids), `entropy` (nats, mean over the pixels)
    and `cluster` (index of the prototype). The last three are None where they are not known."""
    return Features(
        {
            **unlabelled_features(),
            "pseudo_mask": Image(),
            "entropy": Value("float32"),
            "cluster": Value("int32"),
        }
    )


def detection_features(labels: Sequence[str]) -> Features:
    """`image`, `id` and `objects`, a dictionary of parallel lists.

    `obb` is (cx, cy, w, h, theta): pixels and radians; `polygon` is x1, y1 .. x4, y4 in pixels as annotated;
    `category` indexes `labels`; `difficult` is a boolean. The angle's convention stands in `oriented_geometry`.
    """
    return Features(
        {
            "image": Image(),
            "objects": {
                "obb": List(List(Value("float32"), length=5)),
                "polygon": List(List(Value("float32"), length=8)),
                "category": List(ClassLabel(names=list(labels))),
                "difficult": List(Value("bool")),
            },
            "id": Value("string"),
        }
    )
