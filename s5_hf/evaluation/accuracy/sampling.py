"""A stratified random sample of the pixels of a map, for people to say what is really there."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ...files.atomic import atomic_file, temporary_folder
from ...scenes.class_maps import ClassMap, open_class_map

__all__ = ["POINT_SUFFIXES", "REFERENCE", "PointSample", "allocate", "count_classes", "sample_points"]

REFERENCE = "reference"
"""The field that a person fills with the class on the ground."""

POINT_SUFFIXES = (".csv", ".gpkg")

_BAND_PIXELS = 2**22


@dataclass(frozen=True)
class PointSample:
    """The result of `sample_points`.

    Attributes:
        path: of the file.
        points: how many lie in each class of the map, by its name.
        pixels: how many pixels each class has.
    """

    path: Path
    points: dict[str, int]
    pixels: dict[str, int]


def sample_points(
    map_path: str | Path, output: str | Path, count: int = 300, minimum: int = 30, seed: int = 0
) -> PointSample:
    """Draw pixels of a map at random within each of its classes, and write their centres.

    Each class gets points in proportion to its area, and at least `minimum`. The file has the fields `id`, `x`, `y`
    (CRS of the map, or pixels without one), `longitude`, `latitude` (where there is a CRS) and an empty `reference`,
    which a person fills in without seeing the map; the order of points does not tell their classes.

    Args:
        map_path: a class map.
        output: `.csv` or `.gpkg`. An existing file is replaced.
        count: of all points.
        minimum: of points in a class; a class of fewer pixels gives them all.
        seed: of the choice; the same map and seed give the same points.

    Raises:
        FileNotFoundError, ImportError, OSError: the map cannot be read, or the file not be written.
        ValueError: another suffix, a map without classes, or fewer points than the minimum asks for.
    """
    output = Path(output)
    if output.suffix.lower() not in POINT_SUFFIXES:
        raise ValueError(f"points are written to {' or '.join(POINT_SUFFIXES)}, got {output}")
    with open_class_map(map_path) as class_map:
        pixels = count_classes(class_map)
        if not pixels:
            raise ValueError(f"{map_path} holds no class, only pixels without data")
        numbers = allocate(pixels, count, minimum)
        random = np.random.default_rng(seed)
        ranks = {c: np.sort(random.choice(pixels[c], numbers[c], replace=False)) for c in sorted(pixels)}
        places = random.permutation(_places(class_map, ranks))
        columns = _coordinates(class_map, places)
        names = {class_id: class_map.label_of(class_id) for class_id in sorted(pixels)}
        _WRITERS[output.suffix.lower()](output, columns, class_map)
    return PointSample(
        output, {names[c]: numbers[c] for c in sorted(pixels)}, {names[c]: pixels[c] for c in sorted(pixels)}
    )


def count_classes(class_map: ClassMap) -> dict[int, int]:
    """How many pixels each class of an open map has."""
    counts: dict[int, int] = {}
    for _, ids in class_map.bands(_rows(class_map)):
        for class_id, number in zip(*np.unique(ids, return_counts=True), strict=True):
            if class_id != class_map.nodata:
                counts[int(class_id)] = counts.get(int(class_id), 0) + int(number)
    return counts


def allocate(pixels: Mapping[int, int], count: int, minimum: int) -> dict[int, int]:
    """Points for each class: in proportion to its pixels, at least `minimum` or all of its pixels; `count` in all.

    Raises:
        ValueError: the minimum of all classes is more than `count`, or `count` more than there are pixels.
    """
    least = {c: min(minimum, size) for c, size in pixels.items()}
    if minimum < 1 or sum(least.values()) > count or count > sum(pixels.values()):
        raise ValueError(
            f"{count} points cannot be shared out among {len(pixels)} classes of {sum(pixels.values()):,} pixels with "
            f"at least {minimum} points each; give other numbers (--count, --minimum)"
        )
    fixed: dict[int, int] = {}
    while True:
        rest = {c: size for c, size in pixels.items() if c not in fixed}
        left, total = count - sum(fixed.values()), sum(rest.values())
        shares = {c: left * size / total for c, size in rest.items()}
        small = {c: least[c] for c, share in shares.items() if share < least[c]}
        if not small:
            break
        fixed.update(small)
    numbers = {c: int(share) for c, share in shares.items()}
    by_remainder = sorted(shares, key=lambda c: (numbers[c] - shares[c], c))
    for c in by_remainder[: left - sum(numbers.values())]:
        numbers[c] += 1
    return {c: {**fixed, **numbers}[c] for c in pixels}


def _rows(class_map: ClassMap) -> int:
    return max(1, _BAND_PIXELS // class_map.width)


def _places(class_map: ClassMap, ranks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Row and column `(n, 2)` of the pixels that have these ranks among those of their class."""
    seen = dict.fromkeys(ranks, 0)
    found = []
    with tqdm(total=class_map.height, desc="drawing points", unit="row", disable=None) as bar:
        for top, ids in class_map.bands(_rows(class_map)):
            for class_id, wanted in ranks.items():
                here = np.flatnonzero(ids.ravel() == class_id)
                inside = wanted[(wanted >= seen[class_id]) & (wanted < seen[class_id] + len(here))]
                flat = here[inside - seen[class_id]]
                found.append(np.stack([top + flat // class_map.width, flat % class_map.width], axis=1))
                seen[class_id] += len(here)
            bar.update(len(ids))
    return np.concatenate(found)


def _coordinates(class_map: ClassMap, places: np.ndarray) -> dict[str, np.ndarray]:
    """The numeric fields of the points: centres of pixels."""
    from affine import Affine

    transform = class_map.transform or Affine.identity()
    x, y = transform * (places[:, 1] + 0.5, places[:, 0] + 0.5)
    columns = {"id": np.arange(1, len(places) + 1), "x": x, "y": y}
    if class_map.crs is not None:
        from rasterio.warp import transform as to_crs

        longitude, latitude = to_crs(class_map.crs, "EPSG:4326", x, y)
        columns |= {"longitude": np.round(longitude, 8), "latitude": np.round(latitude, 8)}
    return columns


def _write_csv(path: Path, columns: Mapping[str, np.ndarray], class_map: ClassMap) -> None:
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, REFERENCE])
        writer.writerows((*row, "") for row in zip(*(values.tolist() for values in columns.values()), strict=True))


def _write_geopackage(path: Path, columns: Mapping[str, np.ndarray], class_map: ClassMap) -> None:
    import shapely
    from pyogrio.raw import write

    if class_map.crs is None:
        raise ValueError(f"{class_map.path} has no CRS, so that its points fit no GeoPackage; choose .csv")
    geometry = shapely.to_wkb(shapely.points(columns["x"], columns["y"]))
    empty = np.full(len(geometry), None, dtype=object)
    with atomic_file(path) as finished, temporary_folder(finished) as folder:
        written = folder / path.name
        write(
            written, geometry=geometry, field_data=[*columns.values(), empty], fields=np.array([*columns, REFERENCE]),
            geometry_type="Point", crs=class_map.crs.to_wkt(), layer="points", driver="GPKG",
        )  # fmt: skip
        written.replace(finished)


_WRITERS = {".csv": _write_csv, ".gpkg": _write_geopackage}
