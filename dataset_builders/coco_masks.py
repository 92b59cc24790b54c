"""Masks as COCO writes them: polygons, and runs of pixels column by column, counted or packed into text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .errors import SampleError


def coco_mask(segmentation: Any, height: int, width: int, name: str) -> np.ndarray:
    """The union of the parts of an annotation, uint8 `(height, width)`, 0 and 1.

    Args:
        segmentation: a list of polygons `[x, y, x, y, ...]` or of runs, or runs: `{"size": ..., "counts": ...}`.
        height, width: of the image.
        name: of the annotation, for messages.

    Raises:
        SampleError: if it is none of these, or does not fit the image.
    """
    mask = np.zeros((height, width), np.uint8)
    parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        raise SampleError(f"{name} has no polygons and no runs of pixels")
    for part in parts:
        if isinstance(part, Mapping):
            mask |= run_mask(part, height, width, name)
        else:
            mask |= polygon_mask(part, height, width, name)
    return mask


def polygon_mask(polygon: Sequence[float], height: int, width: int, name: str) -> np.ndarray:
    """The pixels of a polygon."""
    if len(polygon) < 6 or len(polygon) % 2:
        raise SampleError(f"{name} has a polygon of {len(polygon)} numbers, expected x, y of three points or more")
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).polygon([float(value) for value in polygon], fill=1)
    return np.asarray(picture)


def run_mask(runs: Mapping[str, Any], height: int, width: int, name: str) -> np.ndarray:
    """The pixels of runs, which alternate between 0 and 1 and go down the columns."""
    counts = runs.get("counts")
    lengths = unpacked(counts) if isinstance(counts, str | bytes) else counts
    if list(runs.get("size", ())) != [height, width] or lengths is None or sum(lengths) != height * width:
        raise SampleError(f"{name} has runs of pixels for {runs.get('size')}, the image is {height} x {width}")
    values = np.arange(len(lengths)) % 2
    return np.repeat(values, lengths).astype(np.uint8).reshape(width, height).T


def unpacked(text: str | bytes) -> list[int]:
    """The lengths that COCO's text holds: 5 bits a character, signed, from the third on as differences."""
    characters = text.encode("ascii") if isinstance(text, str) else text
    lengths: list[int] = []
    value = shift = 0
    for character in characters:
        part = character - 48
        value |= (part & 0x1F) << shift
        shift += 5
        if part & 0x20:
            continue
        if part & 0x10:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    return lengths
