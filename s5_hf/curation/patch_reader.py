"""Getting the pixels of scored patches back from the images they came from."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from ..imaging.windows import Window
from .patches import decode_image
from .sources import ImageList

__all__ = ["PatchReader"]


class PatchReader:
    """Reads patches by the number of their image and their window; asked in ascending order, it decodes each once."""

    def __init__(self, images: ImageList) -> None:
        self._images = images
        self._number = -1
        self._sample: dict = {}
        self._decoded: Image.Image | None = None

    def patch(self, row: Mapping[str, object]) -> Image.Image:
        """The patch of a row of scores (`image`, `left`, `top`, `width`, `height`) as RGB.

        Raises:
            ValueError: if the image is no longer as large as it was when it was scored.
        """
        image, window = self._image(row), _window(row)
        return image if (window.width, window.height) == image.size else image.crop(window)

    def encoded(self, row: Mapping[str, object]) -> dict | None:
        """The image's own `{"bytes", "path"}` where the patch is the whole image, else `None`."""
        image, window = self._image(row), _window(row)
        return self._sample["image"] if (window.width, window.height) == image.size else None

    def _image(self, row: Mapping[str, object]) -> Image.Image:
        number, window = row["image"], _window(row)
        if number != self._number or self._decoded is None:
            self._sample = self._images[number]
            self._decoded = decode_image(self._sample["image"], self._sample["id"])
            self._number = number
        if window.right > self._decoded.width or window.bottom > self._decoded.height:
            raise ValueError(
                f"{row['id']} was scored at {window}, but the image has {self._decoded.width} x "
                f"{self._decoded.height} pixels now: the sources have changed since, score them again"
            )
        return self._decoded


def _window(row: Mapping[str, object]) -> Window:
    return Window(row["left"], row["top"], row["left"] + row["width"], row["top"] + row["height"])
