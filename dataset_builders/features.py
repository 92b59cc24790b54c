"""The columns of every dataset, one function per task. Images are lazy: they decode when a column is read."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import ClassLabel, Features, Image, List, Value
from datasets.features.features import decode_nested_example

_PLAIN_TYPES = {"string": str, "float32": float, "int32": int}


class ImageFeatures(Features):
    """Features of images and plain values, fast for the samples that builders of this package give.

    `datasets` walks through every value of a sample to encode and to decode it, which costs a twentieth of the time
    that decoding a 512 px JPEG takes. Samples that are encoded already go through unchanged; all others, such as those
    that `map` returned, are left to `datasets`.
    """

    def __reduce__(self) -> tuple:
        return type(self), (dict(self),)

    def encode_example(self, example: dict) -> dict:
        """An encoded sample with a value for every column."""
        return example if self._is_encoded(example) else super().encode_example(example)

    def decode_example(self, example: dict, token_per_repo_id: dict | None = None) -> dict:
        """A sample with its images decoded."""
        decoded = {
            name: decode_nested_example(feature, example[name], token_per_repo_id=token_per_repo_id)
            for name, feature in self.items()
            if isinstance(feature, Image) and name in example
        }
        return {**example, **decoded}

    def _is_encoded(self, example: dict) -> bool:
        for name, feature in self.items():
            value = example.get(name)
            expected = dict if isinstance(feature, Image) else _PLAIN_TYPES.get(feature.dtype)
            if value is not None and type(value) is not expected:
                return False
        return len(example) == len(self)


def segmentation_features(image: Image | None = None) -> ImageFeatures:
    """`image` (RGB), `mask` (one channel, class ids with the registry's ignore index; None without labels), `id`.

    Args:
        image: the column of the images where they may be others than RGB.
    """
    return ImageFeatures({"image": image or Image(), "mask": Image(), "id": Value("string")})


def question_features(image: Image | None = None) -> ImageFeatures:
    """`image`, `mask` (0 and 1; None without labels), `question` (or words that refer to something), `answer` (empty
    where there is none), `id`; as `segmentation_features`."""
    words = {name: Value("string") for name in ("question", "answer", "id")}
    return ImageFeatures({"image": image or Image(), "mask": Image(), **words})


def unlabelled_features(image: Image | None = None) -> ImageFeatures:
    """`image`, `id`, `source` (the archive or sub-archive that the image comes from); as `segmentation_features`."""
    return ImageFeatures({"image": image or Image(), "id": Value("string"), "source": Value("string")})


def curated_features(image: Image | None = None) -> ImageFeatures:
    """Unlabelled columns and what curation found: `pseudo_mask` (class ids), `entropy` (nats, mean over the pixels)
    and `cluster` (index of the prototype). The last three are None where they are not known."""
    return ImageFeatures(
        {
            **unlabelled_features(image),
            "pseudo_mask": Image(),
            "entropy": Value("float32"),
            "cluster": Value("int32"),
        }
    )


def pair_features(image: Image | None = None, masks: Sequence[str] = ("mask",)) -> ImageFeatures:
    """`image_before`, `image_after`, the columns of `masks` (as `mask` in `segmentation_features`) and `id`."""
    columns = {"image_before": image or Image(), "image_after": image or Image()}
    return ImageFeatures({**columns, **{mask: Image() for mask in masks}, "id": Value("string")})


def caption_features() -> Features:
    """`image_before`, `image_after`, `mask` (0 and 1; None without one), `captions` (sentences) and `id`."""
    images = {name: Image() for name in ("image_before", "image_after", "mask")}
    return Features({**images, "captions": List(Value("string")), "id": Value("string")})


def detection_features(labels: Sequence[str], image: Image | None = None) -> Features:
    """`image`, `id` and `objects`, a dictionary of parallel lists.

    `obb` is (cx, cy, w, h, theta): pixels and radians; `polygon` is x1, y1 .. x4, y4 in pixels as annotated;
    `category` indexes `labels`; `difficult` is a boolean. `oriented_geometry` documents the convention of the angle.

    Args:
        labels: class names.
        image: the column of the images where they may be others than RGB.
    """
    return Features(
        {
            "image": image or Image(),
            "objects": {
                "obb": List(List(Value("float32"), length=5)),
                "polygon": List(List(Value("float32"), length=8)),
                "category": List(ClassLabel(names=list(labels))),
                "difficult": List(Value("bool")),
            },
            "id": Value("string"),
        }
    )


def road_graph_features(image: Image | None = None) -> Features:
    """`image`, `id`, and the graph of its roads: `nodes`, (x, y) in pixels, and `edges`, pairs of indices of nodes.

    Args:
        image: the column of the images where they may be others than RGB.
    """
    return Features(
        {
            "image": image or Image(),
            "nodes": List(List(Value("float64"), length=2)),
            "edges": List(List(Value("int32"), length=2)),
            "id": Value("string"),
        }
    )
