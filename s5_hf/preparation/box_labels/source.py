"""Where labels are read from: their files, and the images that they belong to."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging.rasters import open_raster
from ..sources import image_files
from .labelled_images import BoxNotes

__all__ = ["LabelSource", "finite_points", "read_json"]


@dataclass(frozen=True)
class LabelSource:
    """Labels to be read.

    Attributes:
        path: a folder, or the file of a format that has one for all images.
        images: folder of the images, in any subfolders; None where the labels need none.
        classes: class names in the order of their ids, where they were given.
        notes: takes what is changed or left out.
        known: takes the class names in the order of their ids, from formats that have one.
    """

    path: Path
    images: Path | None = None
    classes: tuple[str, ...] = ()
    notes: BoxNotes = field(default_factory=BoxNotes)
    known: list[str] = field(default_factory=list)

    def files(self, suffix: str) -> list[Path]:
        """The label files of the folder itself, in the order of their names.

        Raises:
            FileNotFoundError: there is no such folder, or no such file in it.
        """
        if not self.path.is_dir():
            raise FileNotFoundError(f"{self.path} is not a folder; expected one with a {suffix} file for each image")
        found = sorted(path for path in self.path.glob(f"*{suffix}") if not path.name.startswith("."))
        if not found:
            raise FileNotFoundError(f"{self.path} holds no {suffix} files; expected one for each image")
        return found

    def image_of(self, name: str) -> tuple[str, tuple[int, int] | None]:
        """File name, and height and width, of the image with a name (without suffix); unknown without `images`.

        Raises:
            FileNotFoundError: there is no such image.
            ValueError: there are several.
        """
        if self.images is None:
            return name, None
        found = self._images.get(name, [])
        if not found:
            raise FileNotFoundError(f"{self.images} has no image {name}, which {self.path} labels")
        if len(found) > 1:
            raise ValueError(
                f"the image {name} occurs {len(found)} times: {found[0]} and {found[1]}. Keep one of them"
            )
        with open_raster(found[0]) as raster:
            return found[0].name, (raster.height, raster.width)

    @cached_property
    def _images(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        assert self.images is not None
        for path in image_files(self.images):
            found.setdefault(path.stem, []).append(path)
        return found


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def finite_points(numbers: Sequence[Any], place: str) -> np.ndarray:
    """Points float64 `(n, 2)` of numbers x1, y1, x2, y2, ...

    Raises:
        ValueError: an odd count, fewer than three points, or something that is not a finite number.
    """
    values = [float(number) for number in numbers if isinstance(number, int | float) and not isinstance(number, bool)]
    if len(values) != len(numbers) or not all(map(math.isfinite, values)):
        raise ValueError(f"{place}: expected finite numbers x1, y1, x2, y2, ..., got {list(numbers)[:10]}")
    if len(values) % 2 or len(values) < 6:
        raise ValueError(f"{place}: expected x and y of three corners or more, got {len(values)} numbers")
    return np.array(values, dtype=np.float64).reshape(-1, 2)
