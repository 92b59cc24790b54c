"""Publishers' label images as class ids."""

from pathlib import Path

import numpy as np

from ..dataset_builders.errors import CorruptImageError, SampleError
from ..dataset_builders.images import decode
from ..dataset_builders.label_colors import Colors
from ..dataset_builders.masks import MaskEncoding
from ..imaging.rasters import unlimited_pixels

__all__ = ["Colors", "read_label"]


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
        with unlimited_pixels():
            label = decode(str(path), str(path))
    except CorruptImageError as error:
        raise OSError(f"{path} cannot be read as a label image: {error.__cause__}") from error
    encoding = MaskEncoding({class_id: class_id for class_id in colors.values()}, colors)
    if label.mode == "L":
        return encoding.class_ids(label, str(path))
    try:
        return encoding.class_ids(label.convert("RGB"), str(path), tolerance)
    except SampleError as error:
        raise ValueError(f"{error} A tolerance (--color-tolerance) accepts colours that are slightly off.") from error
