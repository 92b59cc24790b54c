"""Label images to class ids: colours become ids, and a colour that no class has is an error that names it."""

from pathlib import Path

import numpy as np
from PIL import Image

from s5_hf.dataset_builders.label_colors import Colors, decode_colors

from ..imaging.rasters import unlimited_pixels

__all__ = ["Colors", "read_label"]

_SHOWN_IDS = 5


def read_label(path: Path, colors: Colors, tolerance: int = 0) -> np.ndarray:
    """Read a label image, drawn in colours or holding ids, as class ids.

    Args:
        path: the label image. Three channels or a palette: colours. One 8-bit channel: ids already.
        colors: the class id of each colour.
        tolerance: how far a channel may be off, in grey levels, for a colour to count as the nearest class's.

    Returns:
        `(height, width)` uint8 of ids that `colors` names.

    Raises:
        OSError: the file cannot be read as an image.
        ValueError: colours or ids that no class has: names the file, the colours and how many pixels have them.
    """
    try:
        with unlimited_pixels(), Image.open(path) as image:
            if image.mode == "L":
                return _checked_ids(np.asarray(image), path, colors)
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:
        raise OSError(f"{path} cannot be read as a label image: {error}") from error
    try:
        return decode_colors(pixels, colors, tolerance)
    except ValueError as error:
        raise ValueError(
            f"{path}: {error} A tolerance (--color-tolerance) accepts colours that are slightly off."
        ) from error


def _checked_ids(ids: np.ndarray, path: Path, colors: Colors) -> np.ndarray:
    known = sorted(set(colors.values()))
    values, counts = np.unique(ids, return_counts=True)
    wrong = [f"{value} in {count} pixels" for value, count in zip(values, counts, strict=True) if value not in known]
    if wrong:
        raise ValueError(f"{path}: label ids outside {known[0]}..{known[-1]}: {', '.join(wrong[:_SHOWN_IDS])}.")
    return ids
