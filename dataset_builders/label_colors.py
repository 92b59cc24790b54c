"""Colours of label images to class ids. A colour that no class has is an error that names it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Colors = Mapping[tuple[int, int, int], int]
"""Label colour -> class id."""

# Rows decoded at a time: bounds the memory that a large label needs besides its result.
_ROWS = 512
_SHOWN_COLORS = 5


def decode_colors(pixels: np.ndarray, colors: Colors, tolerance: int = 0) -> np.ndarray:
    """Replace each colour of `(height, width, 3)` uint8 by its class id, giving `(height, width)` uint8.

    Raises:
        ValueError: pixels whose colour is further than `tolerance` from all colours in some channel.
    """
    table = np.array(list(colors), dtype=np.uint8)
    class_ids = np.array(list(colors.values()), dtype=np.uint8)
    codes = _codes(table)
    order = np.argsort(codes)
    ids = np.empty(pixels.shape[:2], dtype=np.uint8)
    unknown: dict[int, int] = {}
    for top in range(0, len(pixels), _ROWS):
        strip = _codes(pixels[top : top + _ROWS])
        positions = np.searchsorted(codes[order], strip).clip(max=len(codes) - 1)
        found = order[positions]
        missing = codes[found] != strip
        if missing.any():
            others, where, counts = np.unique(strip[missing], return_inverse=True, return_counts=True)
            nearest, distances = _nearest(others, table)
            found[missing] = nearest[where]
            for index in np.flatnonzero(distances > tolerance):
                unknown[int(others[index])] = unknown.get(int(others[index]), 0) + int(counts[index])
        ids[top : top + _ROWS] = class_ids[found]
    if unknown:
        raise ValueError(_unknown_colors_message(unknown, colors))
    return ids


def _codes(pixels: np.ndarray) -> np.ndarray:
    """Each colour as one number, red in the highest byte."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def _color(code: int) -> tuple[int, int, int]:
    return code >> 16, code >> 8 & 255, code & 255


def _nearest(codes: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each colour code, the row of the nearest colour in `table` `(n, 3)`, and how far it is in some channel."""
    nearest = np.zeros(len(codes), dtype=np.int64)
    distances = np.full(len(codes), 256)
    for index, color in enumerate(table.astype(np.int64)):
        differences = [np.abs((codes >> shift & 255) - value) for shift, value in zip((16, 8, 0), color, strict=True)]
        distance = np.maximum.reduce(differences)
        closer = distance < distances
        nearest[closer], distances[closer] = index, distance[closer]
    return nearest, distances


def _unknown_colors_message(unknown: dict[int, int], colors: Colors) -> str:
    most = sorted(unknown.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{_color(code)} in {count} pixels" for code, count in most[:_SHOWN_COLORS])
    more = f" and {len(most) - _SHOWN_COLORS} more colours" if len(most) > _SHOWN_COLORS else ""
    known = " ".join(str(tuple(color)) for color in colors)
    return f"label colours that no class has: {shown}{more}. Known colours: {known}."
