"""One map from many; where they overlap, each has the more say the farther a pixel lies from the end of its data."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from ...files.atomic import temporary_folder, write_text
from ...imaging.palettes import Color
from ...imaging.rasters import damage_named, open_dataset, require_geo
from ..class_maps import ClassMap, open_class_map, sidecar_path
from ..scene_names import relative_source
from ..scene_run import require_absent, require_distinct
from .areas import AreaCounter, ClassArea, pixel_areas
from .class_rows import BYTE_SCALE, NO_DATA
from .map_files import BLOCK_SIDE, MapLayout, is_geotiff, open_map
from .scene_result import SIDECAR_FORMAT

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader
    from rasterio.vrt import WarpedVRT

__all__ = ["write_mosaic"]

_ALIGNED = 1e-3
"""Pixels by which maps may lie off the grid of the first one without being resampled."""


def write_mosaic(
    maps: Sequence[str | Path],
    output: str | Path,
    blend: int = 256,
    cloud_optimized: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
) -> list[ClassArea]:
    """Write one map from several of the same classes, on the grid of the first one.

    Where maps overlap, their class probabilities are averaged if the file `<map>_probabilities.tif` of `s5-hf predict
    --probabilities` lies beside every map; otherwise each map votes for its class. The weight of a map rises from its
    border, and from its pixels without data, to 1 at `blend` pixels from there. Of classes that tie it is the one with
    the smaller id. Memory grows with the width of the mosaic, not with its height.

    Args:
        maps: GeoTIFFs with a CRS. Those in another CRS, of other pixels or off the grid are resampled to the nearest
            pixel, which `report` is told.
        output: a `.tif`, and a `.json` beside it.
        blend: width of the transition in pixels, at least 1.
        cloud_optimized: whether to write a COG.
        overwrite: replace existing files.
        report: takes what the user should know, a line at a time.

    Returns:
        What each class covers.

    Raises:
        FileExistsError: the mosaic exists already, and `overwrite` is not set.
        FileNotFoundError: a map is not there.
        ImportError: rasterio is missing.
        OSError: a file cannot be read or written.
        ValueError: fewer than two maps, another suffix, classes that differ, a map without CRS or turned against it.
    """
    output = Path(output)
    if len(maps) < 2 or blend < 1 or not is_geotiff(output):
        raise ValueError(
            f"a mosaic takes two maps or more, a blend of at least 1 pixel and a .tif to write, got {len(maps)}, "
            f"{blend} and {output}"
        )
    require_geo("a mosaic", "rasterio")
    require_distinct({path: [] for path in maps} | {maps[0]: [output, sidecar_path(output)]})
    if not overwrite:
        require_absent([output, sidecar_path(output)])
    labels, colors = _common_classes(maps)
    with ExitStack() as stack:
        probabilities = _probability_files(maps)
        datasets = [stack.enter_context(open_dataset(path)) for path in probabilities or maps]
        grid = _Grid.over(maps, datasets)
        parts = [stack.enter_context(grid.part(path, data, report)) for path, data in zip(maps, datasets, strict=True)]
        kind = "probabilities" if probabilities else "classes"
        report(f"{len(maps)} maps, blended by their {kind} and the distance to their borders")
        areas = _write(grid, parts, labels, colors, output, blend, cloud_optimized)
    content = {
        "format": SIDECAR_FORMAT,
        "sources": [relative_source(str(path), output.parent) for path in maps],
        "width": grid.width,
        "height": grid.height,
        "id2label": {str(key): label for key, label in labels.items()},
        "palette": [list(color) for color in colors],
        "nodata": NO_DATA,
        "crs": grid.crs.to_string(),
        "areas": [asdict(area) for area in areas],
    }
    write_text(sidecar_path(output), json.dumps(content, indent=2) + "\n")
    return areas


@dataclass(frozen=True)
class _Part:
    """A map, or its probabilities, on the grid of the mosaic: its first row and column there."""

    vrt: WarpedVRT
    top: int
    left: int

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *error: object) -> None:
        self.vrt.close()

    def add_votes(self, votes: np.ndarray, top: int, blend: int) -> None:
        """Add the weighted say of this map to `votes`, float32 `(classes, rows, width)`, from row `top` on."""
        from rasterio.windows import Window

        first, last = max(top, self.top) - self.top, min(top + votes.shape[1], self.top + self.vrt.height) - self.top
        if first >= last:
            return
        start, stop = max(0, first - blend), min(self.vrt.height, last + blend)  # what the distances depend on
        with damage_named(self.vrt.name):
            bands = self.vrt.read(window=Window(0, start, self.vrt.width, stop - start))
        ends = (start == 0, stop == self.vrt.height)
        weights = _border_weights(bands[0] != NO_DATA, ends, blend)[first - start : last - start]
        bands = bands[:, first - start : last - start]
        rows = slice(self.top + first - top, self.top + last - top)
        place = votes[:, rows, self.left : self.left + self.vrt.width]
        if len(bands) > 1:
            place += np.where(weights > 0, bands * (weights / BYTE_SCALE), 0)
        else:
            for class_id in range(len(votes)):
                place[class_id] += np.where(bands[0] == class_id, weights, 0)


@dataclass(frozen=True)
class _Grid:
    """Pixels of a mosaic: size, CRS and transform, which is not turned."""

    width: int
    height: int
    crs: CRS
    transform: Affine

    @classmethod
    def over(cls, maps: Sequence[str | Path], datasets: Sequence[DatasetReader]) -> _Grid:
        """The grid of the first map, extended over all."""
        from affine import Affine
        from rasterio.warp import transform_bounds

        for path, dataset in zip(maps, datasets, strict=True):
            if dataset.crs is None:
                raise ValueError(f"{path} has no CRS, so it has no place in a mosaic")
        crs, (a, b, c, d, e, f) = datasets[0].crs, datasets[0].transform[:6]
        if b or d or a <= 0 or e >= 0:
            raise ValueError(f"{maps[0]} is turned or mirrored against its CRS; expected rows from west to east")
        boxes = np.array([transform_bounds(dataset.crs, crs, *dataset.bounds) for dataset in datasets])
        left, top = _outwards((boxes[:, 0] - c) / a, down=True).min(), _outwards((boxes[:, 3] - f) / e, True).min()
        right, bottom = _outwards((boxes[:, 2] - c) / a, False).max(), _outwards((boxes[:, 1] - f) / e, False).max()
        transform = Affine(a, 0.0, c + left * a, 0.0, e, f + top * e)
        return cls(int(right - left), int(bottom - top), crs, transform)

    def part(self, path: str | Path, dataset: DatasetReader, report: Callable[[str], None]) -> _Part:
        """A map, or its probabilities, on this grid."""
        from affine import Affine
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT
        from rasterio.warp import transform_bounds

        west, south, east, north = transform_bounds(dataset.crs, self.crs, *dataset.bounds)
        a, e = self.transform.a, self.transform.e
        columns = (np.array([west, east]) - self.transform.c) / a
        rows = (np.array([north, south]) - self.transform.f) / e
        pixels = np.array(dataset.transform[:6])[[0, 1, 3, 4]]
        same = dataset.crs == self.crs and np.allclose(pixels, [a, 0, 0, e], rtol=1e-6, atol=0)
        offsets = np.concatenate([columns, rows])
        if not same or np.abs(offsets - np.rint(offsets)).max() > _ALIGNED:
            report(f"{path} lies on another grid ({dataset.crs.to_string()}): it is resampled to the nearest pixel")
        (left, top), (right, bottom) = (
            (int(_outwards(columns[number], number == 0)), int(_outwards(rows[number], number == 0)))
            for number in (0, 1)
        )
        vrt = WarpedVRT(
            dataset,
            crs=self.crs,
            transform=Affine(a, 0.0, self.transform.c + left * a, 0.0, e, self.transform.f + top * e),
            width=right - left,
            height=bottom - top,
            resampling=Resampling.nearest,
            nodata=NO_DATA,
        )
        return _Part(vrt, top, left)


def _outwards(values: np.ndarray, down: bool) -> np.ndarray:
    """Rounded down or up, except that what is nearly a whole number becomes that number."""
    near = np.rint(values)
    return np.where(np.abs(values - near) < _ALIGNED, near, np.floor(values) if down else np.ceil(values))


def _border_weights(valid: np.ndarray, ends: tuple[bool, bool], blend: int) -> np.ndarray:
    """How much pixels count: distance to what holds no data, up to `blend` pixels, divided by that; float32.

    Args:
        valid: which pixels hold data, `(rows, width)`.
        ends: whether the map ends above and below these rows, as it does to the left and right of them.
    """
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(valid, ((int(ends[0]), int(ends[1])), (1, 1)))
    distances = distance_transform_edt(padded)[int(ends[0]) : int(ends[0]) + len(valid), 1:-1]
    return np.minimum(distances / blend, 1).astype(np.float32)


def _common_classes(maps: Sequence[str | Path]) -> tuple[dict[int, str], list[Color]]:
    """Names and colours of the first map, which all have."""

    def classes(class_map: ClassMap) -> dict[int, str]:
        if not class_map.id2label:
            raise ValueError(f"{class_map.path} does not name its classes; a mosaic takes maps of `s5-hf predict`")
        return class_map.id2label

    with open_class_map(maps[0]) as first:
        labels = {key: classes(first).get(key, f"class {key}") for key in range(max(classes(first)) + 1)}
        colors = [first.color_of(key) for key in labels]
        names = classes(first)
    for path in maps[1:]:
        with open_class_map(path) as other:
            if classes(other) != names:
                raise ValueError(
                    f"{path} has the classes {', '.join(other.id2label.values())}, {maps[0]} has "
                    f"{', '.join(names.values())}: expected the same in the same order"
                )
    return labels, colors


def _probability_files(maps: Sequence[str | Path]) -> list[Path]:
    """Where the probabilities of the maps are; empty unless all have them."""
    files = [Path(path).with_name(f"{Path(path).stem}_probabilities{Path(path).suffix}") for path in maps]
    return files if all(file.is_file() for file in files) else []


def _write(
    grid: _Grid,
    parts: Sequence[_Part],
    labels: dict[int, str],
    colors: list[Color],
    output: Path,
    blend: int,
    cloud_optimized: bool,
) -> list[ClassArea]:
    tags = {"S5_ID2LABEL": json.dumps({str(key): label for key, label in labels.items()})}
    layout = MapLayout(grid.height, grid.width, ["class"], grid.crs, grid.transform, colors, tags)
    areas = AreaCounter(len(labels), pixel_areas(grid.crs, grid.transform, grid.height))
    with temporary_folder(output) as folder, tqdm(total=grid.height, desc="mosaic", unit="row", disable=None) as bar:
        file = open_map(folder, output, layout, cloud_optimized)
        for top in range(0, grid.height, BLOCK_SIDE):
            votes = np.zeros((len(labels), min(BLOCK_SIDE, grid.height - top), grid.width), dtype=np.float32)
            for part in parts:
                part.add_votes(votes, top, blend)
            classes = votes.argmax(axis=0).astype(np.uint8)
            classes[votes.max(axis=0) == 0] = NO_DATA
            file.write(top, classes[None])
            areas.add(top, classes)
            bar.update(len(classes))
        for temporary, final in file.finish():
            temporary.replace(final)
    return areas.table(labels)
