"""Pairs of an optical and a radar image of the same place, in two folders, by the names of their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging import image_pixels

FOLDERS = ("optical", "radar")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class ImagePairs(Sequence):
    """A sample is `id` and `image`, uint8 `(height, width, 6)`: both images on top of each other.

    So they are cropped and mirrored alike. Grey images are repeated to three channels.

    Attributes:
        paths: of the optical and the radar image of each pair.
    """

    paths: tuple[tuple[Path, Path], ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from PIL import Image

        pixels = []
        for path in self.paths[index]:
            with Image.open(path) as image:
                pixels.append(image_pixels(image.convert("RGB")))
        if pixels[0].shape != pixels[1].shape:
            sizes = " and ".join(f"{array.shape[1]} x {array.shape[0]}" for array in pixels)
            raise ValueError(f"{self.paths[index][0]} and {self.paths[index][1]} differ in size: {sizes} pixels")
        return {"id": self.paths[index][0].stem, "image": np.concatenate(pixels, axis=2)}


def find_pairs(folder: str | Path) -> ImagePairs:
    """The pairs of a folder.

    Args:
        folder: with `optical/` and `radar/`; files may end differently, such as `1.jpg` and `1.png`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: an image has no partner, or there are none.
    """
    found: list[dict[str, Path]] = []
    for name in FOLDERS:
        inner = Path(folder) / name
        if not inner.is_dir():
            raise FileNotFoundError(
                f"there is no folder {inner}; expected {FOLDERS[0]}/ and {FOLDERS[1]}/ in {folder}"
            )
        found.append({path.stem: path for path in sorted(inner.iterdir()) if path.suffix.lower() in SUFFIXES})
    alone = sorted(found[0].keys() ^ found[1].keys())
    if alone or not found[0]:
        raise ValueError(
            f"{folder}: {len(alone)} images have no partner of their name in the other folder ({', '.join(alone[:5])})"
            if alone
            else f"{folder} holds no images in {FOLDERS[0]}/ and {FOLDERS[1]}/"
        )
    return ImagePairs(tuple((path, found[1][stem]) for stem, path in found[0].items()))
