"""Class colours that can be told apart, for any number of classes and with colour-blind readers in mind."""

from collections.abc import Sequence
from functools import cache

import numpy as np

Color = tuple[int, int, int]
Palette = Sequence[Color]

IGNORE_COLOR: Color = (96, 96, 96)
"""The neutral grey in which `colorize_mask` draws ignored pixels; `default_palette` stays away from it."""

# Okabe & Ito, "Color Universal Design" (2008), without black, which vanishes in the shadows of an aerial image.
_OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_CHOSEN_COLORS = 256  # colours placed by distance; beyond that no eye can tell classes apart

# Linear RGB as seen with full protanopia and deuteranopia: Machado, Oliveira & Fernandes (2009), severity 1.0.
_COLOR_VISION = np.array(
    [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)
# Linear RGB -> cone response -> Oklab: Ottosson, "A perceptual color space for image processing" (2020).
_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def default_palette(num_classes: int) -> list[Color]:
    """Colours for `num_classes` classes: distinct, always the same, and friendly to colour-blind readers.

    The first seven are those of Okabe and Ito. Each further colour, up to 256, is the one farthest in Oklab from all
    before it and from `IGNORE_COLOR`, where the distance is the smallest over normal vision, protanopia and
    deuteranopia. Later colours are only distinct. A longer palette starts with the shorter one.

    Args:
        num_classes: from 0 to 2**24 - 1.

    Returns:
        `num_classes` (red, green, blue) tuples with values from 0 to 255.

    Raises:
        TypeError: `num_classes` is not an integer.
        ValueError: `num_classes` is out of range.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise TypeError(f"num_classes must be an integer, got {type(num_classes).__name__}")
    if not 0 <= num_classes < 2**24:
        raise ValueError(f"num_classes must lie between 0 and {2**24 - 1}, got {num_classes}")
    colors = list(_chosen_colors(min(num_classes, _CHOSEN_COLORS)))
    taken = {*colors, IGNORE_COLOR}
    code = 0
    while len(colors) < num_classes:
        code = (code + 10_368_889) % 2**24  # an odd step near the golden section visits every 24-bit colour once
        color = (code >> 16, code >> 8 & 255, code & 255)
        if color not in taken:
            colors.append(color)
    return colors


def as_color(row: np.ndarray) -> Color:
    """A row of `palette_array` as Pillow takes it."""
    red, green, blue = row.tolist()
    return red, green, blue


def palette_array(palette: Palette) -> np.ndarray:
    """The palette as uint8 `(classes, 3)`; a ValueError if it is not a list of 8-bit colours."""
    table = np.asarray(palette)
    if table.ndim != 2 or table.shape[1] != 3 or table.shape[0] == 0 or table.dtype.kind not in "iu":
        raise ValueError(f"palette must be a list of (red, green, blue) integers, got {palette!r:.80}")
    if table.min() < 0 or table.max() > 255:
        raise ValueError(f"palette values must lie between 0 and 255, got {table.min()} to {table.max()}")
    return table.astype(np.uint8)


def palette_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances in Oklab, as seen with normal vision: colours uint8 `(n, 3)` and `(m, 3)` -> float64 `(n, m)`."""
    return np.linalg.norm(_oklab(one)[0][:, None] - _oklab(other)[0][None], axis=-1)


@cache
def _chosen_colors(count: int) -> tuple[Color, ...]:
    """The first colours, up to 256: Okabe and Ito's, then greedily the candidate farthest from those already taken."""
    if count <= len(_OKABE_ITO):
        return _OKABE_ITO[:count]
    levels = np.linspace(0, 255, 14).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, green_red, blue_yellow = _oklab(grid)[0].T
    chroma = np.hypot(green_red, blue_yellow)
    grid = grid[(lightness > 0.35) & (lightness < 0.95) & (chroma > 0.06)]
    candidates = _oklab(grid)

    def distance(color: Color) -> np.ndarray:
        difference = candidates - _oklab(np.array([color], dtype=np.uint8))
        return np.linalg.norm(difference, axis=-1).min(axis=0)

    colors = list(_OKABE_ITO)
    nearest = np.min([distance(color) for color in (IGNORE_COLOR, *colors)], axis=0)
    while len(colors) < count:
        red, green, blue = grid[nearest.argmax()].tolist()
        colors.append((red, green, blue))
        nearest = np.minimum(nearest, distance(colors[-1]))
    return tuple(colors)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """uint8 `(n, 3)` -> Oklab `(3, n, 3)` as seen with normal vision, protanopia and deuteranopia."""
    value = rgb / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,nj->vni", _COLOR_VISION, linear), 0.0, 1.0)
    return np.cbrt(seen @ _RGB_TO_LMS.T) @ _LMS_TO_OKLAB.T
