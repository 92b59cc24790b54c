"""Masks as datasets publish them, turned into one channel of class ids.

A mask that already holds class ids is passed on byte for byte; only the others are decoded and rewritten as PNG.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .errors import SampleError
from .label_colors import Colors, decode_colors

_SHOWN_VALUES = 5
ONE_CHANNEL_MODES = ("L", "P", "1", "I", "I;16", "I;16L", "I;16B")


@dataclass(frozen=True)
class MaskEncoding:
    """How mask files encode class ids.

    Attributes:
        value_map: stored value -> class id for one-channel masks, `None` where stored values are class ids; empty
            where masks hold colours only.
        colors: RGB colour -> class id for colour masks, empty where there are none.
    """

    value_map: Mapping[int, int] | None = None
    colors: Colors = field(default_factory=dict)

    def keeps(self, mode: str) -> bool:
        """Whether a mask of this Pillow mode already holds class ids and needs no decoding."""
        return self.value_map is None and mode in ("L", "P")

    def class_ids(self, mask: Image.Image, name: str, tolerance: int = 0) -> np.ndarray:
        """Class ids of a mask.

        Args:
            mask: the mask as opened by Pillow.
            name: where it came from, for errors.
            tolerance: grey levels by which a channel may be off for a colour to count as that of the nearest class.

        Returns:
            uint8 `(height, width)`.

        Raises:
            SampleError: if a value or colour stands for no class, or the mask has channels it should not have.
        """
        if mask.mode in ONE_CHANNEL_MODES:
            return self._from_values(np.asarray(mask), name)
        if self.colors and mask.mode in ("RGB", "RGBA"):
            try:
                return decode_colors(np.asarray(mask.convert("RGB")), self.colors, tolerance)
            except ValueError as error:
                raise SampleError(f"{name}: {error}") from error
        expected = "one channel or RGB" if self.colors else "one channel"
        raise SampleError(f"{name}: a mask of Pillow mode {mask.mode!r}, expected {expected}")

    def _from_values(self, values: np.ndarray, name: str) -> np.ndarray:
        if self.value_map is None:
            return _to_uint8(values, name)
        if not self.value_map:
            raise SampleError(f"{name}: a mask of one channel, expected colours")
        table = np.full(256, -1, dtype=np.int16)
        table[list(self.value_map)] = list(self.value_map.values())
        ids = table[_to_uint8(values, name)]
        if (ids < 0).any():
            unknown, counts = (
                found[:_SHOWN_VALUES].tolist() for found in np.unique(values[ids < 0], return_counts=True)
            )
            seen = ", ".join(f"{value} in {count} pixels" for value, count in zip(unknown, counts, strict=True))
            raise SampleError(
                f"{name}: mask values {unknown} stand for no class, expected {sorted(self.value_map)}; there is {seen}"
            )
        return ids.astype(np.uint8)


def encode_mask(class_ids: np.ndarray) -> bytes:
    """A uint8 `(height, width)` mask as PNG bytes, lightly compressed because it is read soon."""
    buffer = io.BytesIO()
    Image.fromarray(class_ids).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def color_encoding(palette: tuple[tuple[int, int, int], ...]) -> MaskEncoding:
    """Class ids as stored values, or as the colours of `palette` in its order."""
    return MaskEncoding(colors={color: index for index, color in enumerate(palette)})


def _to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.size and (values.min() < 0 or values.max() > 255):
        raise SampleError(f"{name}: mask values {values.min()} to {values.max()}, expected 0 to 255")
    return values.astype(np.uint8)
