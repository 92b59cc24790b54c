"""A picture in memory as a scene."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np

__all__ = ["ArrayScene"]


class ArrayScene:
    """Pixels uint8 `(height, width, channels)`, all with data; see `SceneSource`.

    Raises:
        ValueError: another type or shape.
    """

    def __init__(self, pixels: np.ndarray, name: str = "image") -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.size == 0:
            raise ValueError(
                f"{name}: expected pixels uint8 (height, width, channels), got {pixels.dtype} {pixels.shape}"
            )
        self._pixels = pixels
        self.name = name
        self.height, self.width = pixels.shape[:2]
        self.bands = list(range(1, pixels.shape[2] + 1))
        self.crs = self.transform = None
        self.notes: list[str] = []

    @cached_property
    def fingerprint(self) -> str:
        """Of all pixels."""
        digest = hashlib.blake2b(np.ascontiguousarray(self._pixels), digest_size=16).hexdigest()
        return f"{self._pixels.shape} {digest}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        return np.ascontiguousarray(self._pixels[top:bottom].transpose(2, 0, 1)), None
