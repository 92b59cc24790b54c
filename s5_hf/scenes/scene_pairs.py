"""Two scenes of one place, the second brought to the grid of the first where it has another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..imaging.rasters import open_dataset
from ..imaging.scene_files import is_remote
from ..imaging.windows import Window
from .reading import SceneReading
from .source import SceneSource, open_scene

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

__all__ = ["PairRows", "ScenePair", "open_pair"]

_ALIGNED = 1e-3
"""Pixels by which the second scene may lie off the grid of the first one without being resampled."""


@dataclass(frozen=True)
class PairRows:
    """Rows of both scenes.

    Attributes:
        before, after: uint8 `(rows, width, channels)`.
        valid: bool `(rows, width)`: both dates hold data.
    """

    before: np.ndarray
    after: np.ndarray
    valid: np.ndarray

    def columns(self, window: Window) -> PairRows:
        """The columns of a window, in memory of their own."""
        return PairRows(
            *(
                np.ascontiguousarray(values[:, window.left : window.right])
                for values in (self.before, self.after, self.valid)
            )
        )


@dataclass(frozen=True)
class ScenePair:
    """Two open scenes on one grid, that of `before`."""

    before: SceneSource
    after: SceneSource

    @property
    def fingerprint(self) -> str:
        """Changes when a scene or the way it is read does."""
        return f"{self.before.fingerprint} {self.after.fingerprint}"

    def read_rows(self, top: int, bottom: int) -> PairRows:
        """Rows `top` to `bottom` (exclusive).

        Raises:
            OSError: a file cannot be read; the message names it.
        """
        pixels, valid = zip(*(scene.read_rows(top, bottom) for scene in (self.before, self.after)), strict=True)
        both = np.ones((bottom - top, self.before.width), dtype=bool)
        for known in valid:
            if known is not None:
                both &= known
        return PairRows(*(values.transpose(1, 2, 0) for values in pixels), both)


@contextmanager
def open_pair(
    before: str | Path,
    after: str | Path,
    reading: SceneReading | None = None,
    report: Callable[[str], None] = lambda line: None,
    num_channels: int = 3,
) -> Iterator[ScenePair]:
    """Open two scenes of one place.

    Args:
        before, after: as `open_scene` takes them. A second scene with another CRS, other pixels or another extent is
            resampled (bilinear) to the grid of the first one, which `report` is told; what it does not cover holds no
            data.
        reading: how both are read.
        report: takes what the user should know, a line at a time.
        num_channels: of each scene.

    Raises:
        FileNotFoundError, ImportError, OSError: as `open_scene`.
        ValueError: both are the same file, do not overlap, or cannot be brought together: one has no CRS, and they
            differ in size. Or as `open_scene`.
    """
    if not is_remote(before) and not is_remote(after):
        _require_two(Path(before), Path(after))
    with ExitStack() as stack:
        first = stack.enter_context(open_scene(before, num_channels, reading))
        second = stack.enter_context(open_scene(after, num_channels, reading))
        if (first.crs is None) != (second.crs is None):
            named = first.name if first.crs is None else second.name
            report(f"{named} has no CRS: the scenes are taken to lie on each other pixel by pixel")
        if first.crs is None or second.crs is None:
            if (first.height, first.width) != (second.height, second.width):
                raise ValueError(
                    f"{first.name} has {first.width} x {first.height} pixels, {second.name} {second.width} x "
                    f"{second.height}: scenes without CRS must have one size"
                )
        elif not _on_one_grid(first, second):
            second = stack.enter_context(_resampled(second, first, reading, report, num_channels))
        yield ScenePair(first, second)


def _require_two(before: Path, after: Path) -> None:
    if before.exists() and after.exists() and before.samefile(after):
        raise ValueError(f"{before} and {after} are the same file; expected scenes of two dates")


def _on_one_grid(first: SceneSource, second: SceneSource) -> bool:
    """Whether pixels of two scenes lie on each other."""
    if first.crs != second.crs or (first.height, first.width) != (second.height, second.width):
        return False
    corners = np.array([[0, 0, 1], [first.width, 0, 1], [0, first.height, 1]]).T
    to_first, from_second = (np.array(matrix).reshape(3, 3) for matrix in (~first.transform, second.transform))
    apart = to_first @ from_second @ corners - corners
    return bool(np.abs(apart).max() <= _ALIGNED)


@contextmanager
def _resampled(
    scene: SceneSource,
    grid: SceneSource,
    reading: SceneReading | None,
    report: Callable[[str], None],
    num_channels: int,
) -> Iterator[SceneSource]:
    """A scene on the grid of another, through a small file that tells GDAL how."""
    import rasterio.shutil
    from rasterio.vrt import WarpedVRT

    with tempfile.TemporaryDirectory(prefix="s5_hf_pair_") as folder, open_dataset(scene.name) as dataset:
        _require_overlap(dataset, scene, grid)
        report(f"{scene.name} lies on another grid than {grid.name} and is resampled to it")
        options = {
            "crs": grid.crs,
            "transform": grid.transform,
            "width": grid.width,
            "height": grid.height,
            "resampling": rasterio.enums.Resampling.bilinear,
        }
        # Without a value that means no data, a band of transparency says what the scene does not cover.
        covered = {} if dataset.nodata is not None else {"add_alpha": not _has_alpha(dataset)}
        path = Path(folder) / f"{Path(scene.name).stem}.vrt"
        with WarpedVRT(dataset, **options, **covered) as warped:
            rasterio.shutil.copy(warped, path, driver="VRT")
        with open_scene(path, num_channels, reading) as resampled:
            resampled.name, resampled.fingerprint = scene.name, f"{scene.fingerprint} {grid.transform!r}"
            yield resampled


def _has_alpha(dataset: DatasetReader) -> bool:
    return any(color.name == "alpha" for color in dataset.colorinterp)


def _require_overlap(dataset: DatasetReader, scene: SceneSource, grid: SceneSource) -> None:
    from rasterio.transform import array_bounds
    from rasterio.warp import transform_bounds

    left, bottom, right, top = array_bounds(grid.height, grid.width, grid.transform)
    of_scene = transform_bounds(dataset.crs, grid.crs, *dataset.bounds)
    if of_scene[0] >= right or of_scene[2] <= left or of_scene[1] >= top or of_scene[3] <= bottom:
        named = [", ".join(f"{side:.6g}" for side in sides) for sides in ((left, bottom, right, top), of_scene)]
        raise ValueError(
            f"{grid.name} and {scene.name} do not overlap: they cover {named[0]} and {named[1]} (left, bottom, right, "
            f"top) in {grid.crs.to_string()}"
        )
