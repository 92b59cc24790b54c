"""What the bands of a dataset hold, measured once: ranges that become 0..255, and mean and deviation after that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image

from ..imaging.decoded_pixels import image_kind
from ..modeling.value_scaling import ValueScaling

__all__ = ["BandStatistics", "measure_bands", "range_scaling"]

_MOST_IMAGES = 256
_PIXELS_PER_IMAGE = 16_384
_DIGITS = 6  # of mean and deviation, so that a recipe and a configuration hold short numbers


@dataclass(frozen=True)
class BandStatistics:
    """What the bands of a dataset hold.

    Attributes:
        dtype: of the values.
        lowest, highest: of each band.
        value_scaling: the range of each band that becomes 0..255; `None` for images of 8 bits as they are.
        image_mean, image_std: of each band after that, on the scale 0..1, as an image processor takes them.
        images: how many were looked at.
    """

    dtype: str
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    value_scaling: ValueScaling | None
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    images: int


def measure_bands(
    datasets: Sequence[Any],
    percentiles: tuple[float, float] = (2.0, 98.0),
    value_range: Sequence[float] | None = None,
    most_images: int = _MOST_IMAGES,
) -> BandStatistics:
    """Measure the bands of datasets together, on images spread evenly over each and pixels spread over these.

    The same datasets give the same numbers, on every process and in every run.

    Args:
        datasets: with decoded `image`: of `load_dataset` (of a streaming one the first images are taken), or
            sequences of samples. Each counts alike.
        percentiles: lower and upper one of each band, in 0..100: the range of images of more than 8 bits.
        value_range: a range to be used in place of the percentiles: low and high for all bands, or for each in turn.
        most_images: of all datasets together.

    Raises:
        ValueError: if there are no images or no valid pixels, images differ in bands or type, a band holds a single
            value, or the range is for another number of bands.
    """
    values, kind, count = _collect(datasets, most_images)
    channels = len(values)
    scaling = None
    if value_range is not None:
        scaling = range_scaling(value_range, channels)
    elif kind != "uint8":
        low, high = np.percentile(values, percentiles, axis=1)
        _require_spread(low, high, f"the percentiles {percentiles[0]:g} and {percentiles[1]:g}", count)
        scaling = ValueScaling(tuple(map(float, low)), tuple(map(float, high)))
    seen = values if scaling is None else scaling.to_bytes(values.T[None])[0].T
    seen = seen.astype(np.float64) / 255
    _require_spread(seen.min(axis=1), seen.max(axis=1), "the values after scaling", count)
    return BandStatistics(
        dtype=kind,
        lowest=tuple(map(float, values.min(axis=1))),
        highest=tuple(map(float, values.max(axis=1))),
        value_scaling=scaling,
        image_mean=tuple(round(float(mean), _DIGITS) for mean in seen.mean(axis=1)),
        image_std=tuple(round(float(std), _DIGITS) for std in seen.std(axis=1)),
        images=count,
    )


def range_scaling(value_range: Sequence[float], channels: int) -> ValueScaling:
    """The scaling of `low, high` for all channels, or of `low, high` of each in turn.

    Raises:
        ValueError: for another count of numbers, or numbers that do not rise.
    """
    if len(value_range) not in (2, 2 * channels):
        raise ValueError(
            f"value_range has {len(value_range)} numbers for {channels} bands; expected low and high, once or for "
            "each band"
        )
    pairs = list(value_range) * (1 if len(value_range) == 2 * channels else channels)
    return ValueScaling(tuple(map(float, pairs[::2])), tuple(map(float, pairs[1::2])))


def _collect(datasets: Sequence[Any], most_images: int) -> tuple[np.ndarray, str, int]:
    """Valid values `(bands, pixels)`, their type, and the number of images."""
    parts: list[np.ndarray] = []
    first: tuple[int, str] | None = None
    share = max(1, most_images // max(1, len(datasets)))
    for dataset in datasets:
        for sample in _spread(dataset, share):
            image = sample["image"]
            kind = image_kind(image)
            first = first or kind
            if kind != first:
                raise ValueError(
                    f"the image {str(sample.get('id', 'without an id'))!r} has {kind[0]} bands of {kind[1]}, others "
                    f"have {first[0]} of {first[1]}: choose bands that all images have"
                )
            parts.append(_valid_pixels(image))
    if first is None:
        raise ValueError("there are no images to measure: the dataset is empty")
    values = np.concatenate(parts, axis=1)
    if values.shape[1] == 0:
        raise ValueError(f"none of the {len(parts)} images that were looked at holds any data")
    return values, first[1], len(parts)


def _spread(dataset: Any, count: int) -> Iterator[Any]:
    """Samples spread evenly over an indexed dataset, or the first of a stream."""
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        return islice(iter(dataset), count)
    total = len(dataset)
    columns = {"image", "id"} & set(getattr(dataset, "column_names", None) or ())
    chosen = dataset.select_columns(sorted(columns)) if columns else dataset
    return (chosen[int(index)] for index in np.linspace(0, total - 1, min(count, total)).astype(int))


def _valid_pixels(image: Image.Image | np.ndarray) -> np.ndarray:
    """Values `(bands, pixels)` of at most so many pixels, without those that hold no data."""
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB") if image.mode in ("P", "1") else image)
    pixels = image[:, :, None] if image.ndim == 2 else image
    step = max(1, math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / _PIXELS_PER_IMAGE)))
    pixels = pixels[step // 2 :: step, step // 2 :: step].reshape(-1, pixels.shape[2])
    valid = ~np.ma.getmaskarray(pixels).any(axis=1)
    values = np.ma.getdata(pixels)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=1)
    return values[valid].T


def _require_spread(low: np.ndarray, high: np.ndarray, what: str, count: int) -> None:
    """Raise a ValueError if a band is the same everywhere: it could not be scaled or normalised."""
    flat = np.flatnonzero(~(low < high)).tolist()
    if flat:
        raise ValueError(
            f"band {flat[0] + 1} of the images holds a single value, by {what} ({low[flat[0]]:g}) of {count} images: "
            "leave it out with bands, or give a value_range"
        )
