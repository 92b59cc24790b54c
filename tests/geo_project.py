"""A small project as a geographer has it: 16-bit four-band scenes in a UTM grid, and polygons of classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely
import shapely.geometry
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from s5_hf.scenes.vector_files import vector_file
from s5_hf.synthetic import synthetic_scene

IGNORE = 255
NODATA = 0
BANDS = ("red", "green", "blue", "near infrared")

Pair = tuple[np.ndarray, np.ndarray]
"""An RGB image, uint8 `(height, width, 3)`, and class ids, uint8 `(height, width)`, 255 where there is no label."""


@dataclass(frozen=True)
class GeoProject:
    """What `write_geo_project` wrote.

    Attributes:
        scenes: folder of GeoTIFF scenes.
        labels: file of polygons, or folder of rasters of class ids.
        classes: names of the classes in the order of their ids.
        masks: class ids of each scene by its name without suffix; 255 where there is no label or no data.
    """

    scenes: Path
    labels: Path
    classes: tuple[str, ...]
    masks: dict[str, np.ndarray]

    @property
    def paths(self) -> list[Path]:
        """The scenes."""
        return sorted(self.scenes.iterdir())


def folder_pairs(folder: str | Path) -> Iterator[Pair]:
    """The pairs of a folder with `images` and `masks` of the same names."""
    for image in sorted((Path(folder) / "images").iterdir()):
        with Image.open(image) as pixels, Image.open(Path(folder) / "masks" / f"{image.stem}.png") as mask:
            yield np.asarray(pixels.convert("RGB")), np.asarray(mask)


def synthetic_pairs(count: int, size: int = 128, seed: int = 0) -> Iterator[Pair]:
    """Synthetic scenes, with the classes of `s5_hf.synthetic.SCENE_LABELS`."""
    for index in range(count):
        scene = synthetic_scene(size=size, seed=seed + index)
        yield scene.image, scene.mask


def write_geo_project(
    folder: str | Path,
    pairs: Iterable[Pair],
    classes: Sequence[str],
    scenes: int = 2,
    columns: int = 2,
    rows: int = 2,
    crs: str = "EPSG:32618",
    pixel_side: float = 1.0,
    gap: int = 100,
    labels: str = "labels.gpkg",
) -> GeoProject:
    """Place pairs, which are all of one size, as scenes in a UTM grid, and draw round their classes.

    Values become 16-bit, near infrared is made up from the colours and the classes, the north-west corner of the last
    scene holds no data (0), and polygons lie under it, too. The polygons follow the outlines of the pixels exactly.

    Args:
        folder: for `scenes/scene_0.tif` and so on, and the labels.
        pairs: at least `scenes * columns * rows` of them.
        classes: names in the order of their ids; the field `class` of the polygons.
        scenes: how many; they lie side by side from west to east.
        columns, rows: pairs in one scene.
        crs: of scenes and polygons.
        pixel_side: in metres.
        gap: pixels between neighbouring scenes.
        labels: file name of the polygons, `.gpkg` or `.geojson`.
    """
    folder = Path(folder)
    (folder / "scenes").mkdir(parents=True)
    west, masks, polygons = 583_000.0, {}, []
    for index, group in enumerate(_groups(pairs, columns * rows, scenes)):
        assert len(group) == columns * rows, "there are too few pairs"
        image, mask = (_mosaic([pair[part] for pair in group], columns) for part in (0, 1))
        transform = Affine(pixel_side, 0, west, 0, -pixel_side, 4_508_000)
        polygons += _outlines(mask, transform)
        values = as_sixteen_bits(image, mask)
        if index == scenes - 1:
            corner = np.add.outer(np.arange(mask.shape[0]), np.arange(mask.shape[1])) < min(mask.shape) // 4
            values[:, corner], mask = NODATA, np.where(corner, IGNORE, mask)
        write_scene(folder / "scenes" / f"scene_{index}.tif", values, transform, crs)
        masks[f"scene_{index}"] = mask
        west += (mask.shape[1] + gap) * pixel_side
    write_polygons(folder / labels, polygons, classes, crs)
    return GeoProject(folder / "scenes", folder / labels, tuple(classes), masks)


def as_sixteen_bits(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Red, green, blue and a made-up near infrared as uint16 `(4, height, width)`, never 0."""
    red, green, blue = image.astype(np.int64).transpose(2, 0, 1)
    infrared = np.clip(2 * green - (red + blue) // 2 + 8 * (mask % 8).astype(np.int64), 0, 255)
    return (np.stack([red, green, blue, infrared]) * 12 + 100).astype(np.uint16)


def write_scene(
    path: Path, values: np.ndarray, transform: Affine | None, crs: str | None, nodata: float | None = NODATA
) -> Path:
    """Write `(bands, height, width)` as a tiled GeoTIFF with the names of `BANDS`."""
    count, height, width = values.shape
    profile = {"count": count, "height": height, "width": width, "dtype": values.dtype, "nodata": nodata}
    place = {} if transform is None else {"transform": transform}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, tiled=True, blockxsize=256, blockysize=256, compress="deflate",
        photometric="MINISBLACK", **place, **profile,
    ) as file:  # fmt: skip
        file.write(values)
        for band, name in enumerate(BANDS[:count], start=1):
            file.set_band_description(band, name)
    return path


def write_polygons(
    path: Path, polygons: Sequence[tuple[shapely.Polygon, int]], classes: Sequence[str], crs: str | None
) -> Path:
    """Write polygons with the name of their class in the field `class`."""
    reference = None if crs is None else CRS.from_user_input(crs)
    with vector_file(path, reference, True, "labels", {"class": str}) as writer:
        rings = [[np.asarray(ring.coords) for ring in (p.exterior, *p.interiors)] for p, _ in polygons]
        writer.write(rings, {"class": [classes[class_id] for _, class_id in polygons]})
    return path


def _outlines(mask: np.ndarray, transform: Affine) -> list[tuple[shapely.Polygon, int]]:
    """The regions of a mask in map coordinates, each with its class id."""
    found = rasterio.features.shapes(mask, mask=mask != IGNORE, connectivity=4, transform=transform)
    return [(shapely.geometry.shape(geometry), int(class_id)) for geometry, class_id in found]


def _mosaic(parts: Sequence[np.ndarray], columns: int) -> np.ndarray:
    rows = [parts[start : start + columns] for start in range(0, len(parts), columns)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _groups(pairs: Iterable[Pair], size: int, count: int) -> Iterator[list[Pair]]:
    pairs = iter(pairs)
    return (list(islice(pairs, size)) for _ in range(count))
