"""Files of polygons, written batch by batch: GeoJSON as text, GeoPackage with pyogrio."""

from __future__ import annotations

import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import numpy as np

if TYPE_CHECKING:
    from rasterio.crs import CRS

__all__ = ["SUFFIXES", "VectorWriter", "polygon_writer"]

_DECIMALS = 7  # of a degree: a centimetre
_LAYER = "polygons"


class VectorWriter(Protocol):
    """An open file of polygons."""

    def write(self, outlines: np.ndarray, class_ids: np.ndarray, labels: Sequence[str], areas: np.ndarray) -> None:
        """Append polygons, one of each per row; outlines are in the CRS of the map."""
        ...


Opener = Callable[[Path, "CRS | None", bool], AbstractContextManager[VectorWriter]]
"""From path, CRS and whether coordinates have a transform (or are pixels) to an open file."""


def polygon_writer(path: Path) -> Opener:
    """How to write a file of that name.

    Raises:
        ImportError: if the package for it is missing.
        IsADirectoryError: if the path is a folder.
        ValueError: for an unknown suffix; the message lists the known ones.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"polygons are written to {', '.join(SUFFIXES)}, got {path}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a file to write")
    if path.suffix.lower() == ".gpkg":
        _require_pyogrio()
    return SUFFIXES[path.suffix.lower()]


@contextmanager
def _open_geojson(path: Path, crs: CRS | None, has_transform: bool) -> Iterator[VectorWriter]:
    head: dict[str, Any] = {"type": "FeatureCollection"}
    if crs is None:
        head["coordinates"] = "units of a map without CRS" if has_transform else "pixels, x right, y down"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head)[:-1] + ', "features": [')
        yield _GeoJsonWriter(file, crs)
        file.write("\n]}\n")


class _GeoJsonWriter:
    """RFC 7946: WGS84 degrees, shells counter-clockwise. One feature per line."""

    def __init__(self, file: TextIO, crs: CRS | None) -> None:
        self._file, self._crs = file, crs
        self._separator = "\n"

    def write(self, outlines: np.ndarray, class_ids: np.ndarray, labels: Sequence[str], areas: np.ndarray) -> None:
        import shapely
        from shapely.geometry.polygon import orient

        if self._crs is not None:
            outlines = shapely.transform(outlines, self._to_degrees)
        for outline, class_id, label, area in zip(outlines, class_ids, labels, areas, strict=True):
            rings = [_ring(part) for part in (orient(outline).exterior, *orient(outline).interiors)]
            feature = {
                "type": "Feature",
                "properties": {"class_id": int(class_id), "label": label, "area": round(float(area), 3)},
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
            self._file.write(self._separator + json.dumps(feature, ensure_ascii=False))
            self._separator = ",\n"

    def _to_degrees(self, coordinates: np.ndarray) -> np.ndarray:
        from rasterio.warp import transform

        longitude, latitude = transform(self._crs, "EPSG:4326", coordinates[:, 0], coordinates[:, 1])
        return np.round(np.stack([longitude, latitude], axis=1), _DECIMALS)


def _ring(ring: Any) -> list[list[float]]:
    return np.asarray(ring.coords).tolist()


@contextmanager
def _open_geopackage(path: Path, crs: CRS | None, has_transform: bool) -> Iterator[VectorWriter]:
    writer = _GeoPackageWriter(path, crs)
    nothing = np.array([], dtype=object)
    writer.write(nothing, np.array([], dtype=np.int64), [], np.array([]))  # a map without polygons gives a file too
    yield writer


class _GeoPackageWriter:
    """One layer in the CRS of the map."""

    def __init__(self, path: Path, crs: CRS | None) -> None:
        self._path = path
        self._crs = None if crs is None else crs.to_wkt()

    def write(self, outlines: np.ndarray, class_ids: np.ndarray, labels: Sequence[str], areas: np.ndarray) -> None:
        import shapely
        from pyogrio.errors import DataLayerError, DataSourceError
        from pyogrio.raw import write

        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="'crs' was not provided")
                write(
                    self._path,
                    geometry=shapely.to_wkb(outlines),
                    field_data=[class_ids.astype(np.int64), np.array(labels, dtype=object), areas.astype(np.float64)],
                    fields=np.array(["class_id", "label", "area"]),
                    geometry_type="Polygon",
                    crs=self._crs,
                    layer=_LAYER,
                    driver="GPKG",
                    append=self._path.exists(),
                )
        except (DataLayerError, DataSourceError) as error:
            raise OSError(f"{self._path.name} cannot be written as a GeoPackage: {error}") from error


def _require_pyogrio() -> None:
    if importlib.util.find_spec("pyogrio") is None:
        raise ImportError(
            'GeoPackage needs pyogrio. Install it with: pip install "s5_hf[geo]"; GeoJSON works without it'
        )


SUFFIXES: dict[str, Opener] = {".geojson": _open_geojson, ".gpkg": _open_geopackage}
"""Suffixes of files of polygons."""
