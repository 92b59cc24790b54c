"""Reading class maps of whole scenes, as `s5-hf predict` writes them and as others do.

Names and colours come from the sidecar `<name>.json` beside the map; where it is missing or silent, from the tags
`S5_ID2LABEL` and `S5_SOURCE` and the colour table or palette of the file; after that colours come from
`natural_palette`, and the classes are called "class 0", "class 1" and so on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..imaging.decoded_pixels import MAXIMUM_PIXELS, require_decodable
from ..imaging.natural_colors import natural_palette
from ..imaging.palettes import Color, default_palette
from ..imaging.rasters import damage_named, open_dataset, require_geo, unlimited_pixels

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

__all__ = ["LARGEST_CLASS", "ClassMap", "open_class_map", "sidecar_path"]

LARGEST_CLASS = 65535
"""Class ids above this are refused: such a raster holds something else."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CLASS_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


class ClassMap:
    """An open class map.

    Attributes:
        path: of the file.
        width, height: in pixels.
        nodata: the id without a class; None where all ids are classes.
        crs, transform: of rasterio; None where the map has none.
        sidecar: what the JSON file beside it holds; empty without one.
        source: the scene it was made from, as path or URL, where that is known.
        source_after: of a map of changes: the scene of the later date.
    """

    def __init__(
        self,
        path: Path,
        reader: _PngReader | _RasterioReader,
        sidecar: dict[str, Any],
    ) -> None:
        self.path, self.sidecar = path, sidecar
        self.width, self.height = reader.width, reader.height
        self.crs, self.transform = reader.crs, reader.transform
        self.nodata: int | None = sidecar.get("nodata", reader.nodata)
        self.source = _resolved_source(sidecar.get("source") or reader.source, path)
        self.source_after = _resolved_source(sidecar.get("source_after"), path)
        self._reader = reader
        self._labels = {int(key): str(label) for key, label in (sidecar.get("id2label") or reader.id2label).items()}
        palette = sidecar.get("palette")
        self._colors = reader.colors if palette is None else {i: _as_color(color) for i, color in enumerate(palette)}

    @property
    def id2label(self) -> dict[int, str]:
        """The known names; `label_of` gives one for every id."""
        return dict(self._labels)

    def label_of(self, class_id: int) -> str:
        """The name of a class, "class 7" where it has none."""
        return self._labels.get(class_id, f"class {class_id}")

    def color_of(self, class_id: int) -> Color:
        """The colour of a class, (red, green, blue), 0 to 255."""
        if class_id in self._colors:
            return self._colors[class_id]
        if class_id in self._labels:
            return dict(zip(self._labels, natural_palette(list(self._labels.values())), strict=True))[class_id]
        return default_palette(class_id + 1)[class_id]

    def set_labels(self, labels: Sequence[str]) -> None:
        """Give the classes 0, 1, ... other names."""
        self._labels = dict(enumerate(labels))

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Class ids of rows `top` to `bottom` (exclusive), int32 `(bottom - top, width)`.

        Raises:
            OSError: if the file cannot be read; the message names it.
            ValueError: if an id is negative or above `LARGEST_CLASS`, and is not `nodata`.
        """
        rows = self._reader.read_rows(top, bottom).astype(np.int32)
        wrong = (rows < 0) | (rows > LARGEST_CLASS)
        if self.nodata is not None:
            wrong &= rows != self.nodata
        if wrong.any():
            raise ValueError(
                f"{self.path} is not a class map: it holds the value {rows[wrong][0]}, expected class ids from 0 to "
                f"{LARGEST_CLASS}"
            )
        return rows

    def bands(self, rows: int) -> Iterator[tuple[int, np.ndarray]]:
        """The whole map from top to bottom, `rows` rows at a time: the first row's number and the ids."""
        for top in range(0, self.height, rows):
            yield top, self.read_rows(top, min(top + rows, self.height))

    def find_classes(self, classes: Sequence[str | int]) -> list[int]:
        """Class ids of names or ids.

        Raises:
            ValueError: for an unknown name; the message lists the known ones.
        """
        by_name = {label: class_id for class_id, label in self._labels.items()}
        found = []
        for name in classes:
            if isinstance(name, str) and name not in by_name:
                known = ", ".join(by_name) or f"none ({self.path} names no classes; give ids)"
                raise ValueError(f"{self.path} has no class {name!r}; its classes: {known}")
            class_id = by_name[name] if isinstance(name, str) else int(name)
            if self._labels and class_id not in self._labels:
                known = ", ".join(f"{key} {label}" for key, label in self._labels.items())
                raise ValueError(f"{self.path} has no class {class_id}; its classes: {known}")
            found.append(class_id)
        return found


@contextmanager
def open_class_map(path: str | Path, maximum_pixels: int | None = None) -> Iterator[ClassMap]:
    """Open a class map: a PNG with Pillow, decoded as a whole; anything else with rasterio, row by row.

    Args:
        path: the file.
        maximum_pixels: of a PNG, against files that claim to be huge; `MAXIMUM_PIXELS` if left out.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if the file needs rasterio, which is not installed.
        OSError: if it cannot be read as an image.
        ValueError: if it is not a class map (one band of integers), its sidecar is damaged, or it is too large to be
            decoded as a whole.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no class map {path}")
    sidecar = _read_sidecar(path)
    if _is_png(path):
        with _PngReader(path, MAXIMUM_PIXELS if maximum_pixels is None else maximum_pixels) as png:
            yield ClassMap(path, png, sidecar)
    else:
        require_geo(f"{path} is not a PNG: reading it", "rasterio")
        with open_dataset(path) as dataset:
            yield ClassMap(path, _RasterioReader(dataset, path), sidecar)


def sidecar_path(path: str | Path) -> Path:
    """Where the JSON file of a class map is: beside it, under its stem."""
    return Path(path).with_suffix(".json")


def _read_sidecar(path: Path) -> dict[str, Any]:
    file = sidecar_path(path)
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}, the description of {path.name}, is not JSON: {error}") from error
    if not isinstance(content, dict) or not str(content.get("format", "")).startswith("s5_hf scene result"):
        return {}  # another program's file of the same name
    return content


def _resolved_source(source: str | None, path: Path) -> str | None:
    """The scene as this process can open it: paths are relative to the folder of the map."""
    if not source or "://" in source or source.startswith("/vsi"):
        return source or None
    return str(path.parent / source)


def _as_color(values: Sequence[int]) -> Color:
    red, green, blue = (int(value) for value in values[:3])
    return red, green, blue


def _is_png(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PNG_SIGNATURE)) == _PNG_SIGNATURE


class _PngReader:
    """A PNG of class ids, with a palette or grey."""

    crs, transform, nodata = None, None, None

    def __init__(self, path: Path, maximum_pixels: int) -> None:
        self._path = path
        with unlimited_pixels():
            self._image = Image.open(path)
        try:
            require_decodable(self._image, path, maximum_pixels)
        except ValueError:
            self._image.close()
            raise
        if self._image.mode not in ("1", "L", "P", "I", "I;16"):
            mode = self._image.mode
            self._image.close()
            raise ValueError(f"{path} is not a class map: it is a {mode} picture, expected one band of class ids")
        self.width, self.height = self._image.size
        text = self._image.info
        self.source = text.get("S5_SOURCE")
        self.id2label = _parsed_labels(text.get("S5_ID2LABEL"), path)
        flat = (self._image.getpalette() or []) if self._image.mode == "P" else []
        self.colors = {i: _as_color(flat[3 * i : 3 * i + 3]) for i in range(len(flat) // 3)}

    def __enter__(self) -> _PngReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._image.close()

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        with damage_named(self._path), unlimited_pixels():
            return np.asarray(self._image.crop((0, top, self.width, bottom)))


class _RasterioReader:
    """A class map of one band that rasterio opens."""

    def __init__(self, dataset: DatasetReader, path: Path) -> None:
        if dataset.count != 1 or dataset.dtypes[0] not in _CLASS_DTYPES:
            raise ValueError(
                f"{path} is not a class map: it has {dataset.count} band(s) of {dataset.dtypes[0]}, expected one band "
                "of class ids"
            )
        self._dataset, self._path = dataset, path
        self.width, self.height = dataset.width, dataset.height
        self.crs: CRS | None = dataset.crs or None
        self.transform: Affine | None = None if dataset.transform.is_identity else dataset.transform
        self.nodata = None if dataset.nodata is None else int(dataset.nodata)
        tags = dataset.tags()
        self.source = tags.get("S5_SOURCE")
        self.id2label = _parsed_labels(tags.get("S5_ID2LABEL"), path)
        self.colors = self._color_table()

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        from rasterio.windows import Window

        with damage_named(self._path):
            return self._dataset.read(1, window=Window(0, top, self.width, bottom - top))

    def _color_table(self) -> dict[int, Color]:
        try:
            table = self._dataset.colormap(1)
        except ValueError:  # rasterio's way of saying that there is none
            return {}
        # A table in the file has 256 entries. Black ones beyond the last colour are filling.
        last = max((class_id for class_id, color in table.items() if any(color[:3])), default=-1)
        return {class_id: _as_color(color) for class_id, color in table.items() if class_id <= last}


def _parsed_labels(text: str | None, path: Path) -> dict[str, str]:
    if text is None:
        return {}
    try:
        labels = json.loads(text)
        return {str(int(key)): str(label) for key, label in labels.items()}
    except (AttributeError, ValueError) as error:
        raise ValueError(f"the tag S5_ID2LABEL of {path} is not a JSON object of class names: {error}") from error
