"""What a scene is before its pixels are read: its place, bands and type; and whether scenes fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dataset_builders.credentials import without_credentials
from ...imaging.rasters import open_dataset
from ...imaging.scene_files import is_remote, scene_stem
from ...imaging.windows import Window
from .settings import file_identity

if TYPE_CHECKING:
    import shapely
    from affine import Affine
    from rasterio.io import DatasetReader

__all__ = ["SceneInfo", "describe_scenes", "read_values"]


_METRES_PER_DEGREE = 111_320.0
_SAME_SIZE = 1.1
"""Pixels of scenes that differ by less than this factor count as equally large."""


@dataclass(frozen=True)
class SceneInfo:
    """One scene; plain data that travels to worker processes.

    Attributes:
        path: path or URL.
        name: without folder and suffix; names its tiles.
        width, height: in pixels.
        crs: as well-known text; None where the scene has none.
        transform: of rasterio, from pixels to the units of the CRS.
        bands: numbers, from 1, of the bands that tiles hold.
        band_names: what the file calls them, "band 2" where it says nothing.
        dtype: of the values.
        nodata: value of pixels without data; None for none.
        has_mask: whether the file marks pixels without data by a mask or by transparency.
    """

    path: str
    name: str
    width: int
    height: int
    crs: str | None
    transform: Affine
    bands: tuple[int, ...]
    band_names: tuple[str, ...]
    dtype: str
    nodata: float | None
    has_mask: bool

    def corners(self, window: Window | None = None) -> np.ndarray:
        """The corners of the scene, or of a window, in the units of its CRS: float64 `(4, 2)`."""
        left, top, right, bottom = window or Window(0, 0, self.width, self.height)
        places = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return np.array([self.transform * place for place in places])

    def identity(self) -> list[Any]:
        """What tells that the file was replaced, as far as that can be seen from outside; as JSON values."""
        return [without_credentials(self.path)] if is_remote(self.path) else file_identity(Path(self.path))

    @property
    def pixel_metres(self) -> float:
        """The side of a pixel in the middle of a scene with CRS, in metres, to a few percent."""
        from rasterio.crs import CRS

        crs, side = CRS.from_wkt(self.crs), float(np.sqrt(abs(self.transform.determinant)))
        if not crs.is_geographic:
            return side * crs.linear_units_factor[1]
        latitude = float(np.radians(self.corners()[:, 1].mean()))
        return side * _METRES_PER_DEGREE * float(np.sqrt(np.cos(latitude)))

    def footprint(self, window: Window | None = None) -> shapely.Polygon:
        """The outline of the scene, or of a window, in the units of its CRS."""
        import shapely

        return shapely.Polygon(self.corners(window))


def describe_scenes(
    paths: Sequence[str], bands: Sequence[int] | None = None, nodata: float | None = None
) -> tuple[list[SceneInfo], list[str]]:
    """Look at every scene.

    Returns:
        The scenes, and warnings.

    Raises:
        OSError: one cannot be read as an image.
        ValueError: one lacks a band that is asked for, two have one name, or they differ in number, names or type of
            their bands; names the scenes.
    """
    scenes: list[SceneInfo] = []
    warnings: list[str] = []
    by_name: dict[str, str] = {}
    for path in paths:
        name = scene_stem(path)
        if by_name.setdefault(name, path) != path:
            raise ValueError(f"{by_name[name]} and {path} have the same name, which their tiles get; rename one")
        with open_dataset(path) as dataset:
            scenes.append(_describe(dataset, path, bands, nodata, warnings))
    for scene in scenes[1:]:
        _require_same_bands(scenes[0], scene)
    sides = {scene.name: scene.pixel_metres for scene in scenes if scene.crs}
    if sides and max(sides.values()) > _SAME_SIZE * min(sides.values()):
        finest, coarsest = min(sides, key=sides.get), max(sides, key=sides.get)
        warnings.append(
            f"the pixels of the scenes differ in size, from {sides[finest]:.3g} m ({finest}) to "
            f"{sides[coarsest]:.3g} m ({coarsest}); objects then have different sizes in the tiles"
        )
    return scenes, warnings


def read_values(
    dataset: DatasetReader, scene: SceneInfo, window: object = None, shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read an open scene.

    Args:
        dataset: the open scene.
        scene: what is known of it.
        window: of rasterio; the whole scene if left out.
        shape: rows and columns to reduce it to.

    Returns:
        values: `(bands, height, width)` in the type of the scene.
        valid: which pixels hold data, bool `(height, width)`.

    Raises:
        OSError: the file is cut off or damaged; the message names it.
    """
    import rasterio.errors

    try:
        bands = None if shape is None else (len(scene.bands), *shape)
        values = dataset.read(list(scene.bands), window=window, out_shape=bands)
        mask = dataset.read_masks(scene.bands[0], window=window, out_shape=shape) if scene.has_mask else None
    except rasterio.errors.RasterioIOError as error:
        problem = f"{scene.path} cannot be read; is it cut off or damaged? {error.__cause__ or error}"
        raise OSError(without_credentials(problem)) from None
    valid = np.ones(values.shape[1:], dtype=bool)
    if mask is not None:
        valid &= mask > 0
    elif scene.nodata is not None and not np.isnan(scene.nodata):
        valid &= (values != scene.nodata).any(axis=0)
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(axis=0)
    return values, valid


def _describe(
    dataset: DatasetReader, path: str, bands: Sequence[int] | None, nodata: float | None, warnings: list[str]
) -> SceneInfo:
    colors = [color.name for color in dataset.colorinterp]
    if bands is None:
        chosen = tuple(index for index, color in enumerate(colors, start=1) if color != "alpha" or len(colors) == 1)
    else:
        chosen = tuple(bands)
    if max(chosen) > dataset.count:
        raise ValueError(f"{path} has bands 1 to {dataset.count}; asked for {', '.join(map(str, chosen))}")
    kinds = {dataset.dtypes[band - 1] for band in chosen}
    if len(kinds) > 1 or "complex" in "".join(kinds):
        raise ValueError(f"the bands of {path} hold {', '.join(sorted(kinds))}; expected real numbers of one type")
    flags = {flag.name for flag in dataset.mask_flag_enums[chosen[0] - 1]}
    has_mask = nodata is None and "per_dataset" in flags and not ("alpha" in flags and _alpha(colors) in chosen)
    if has_mask and "alpha" in flags:
        warnings.append(
            f"{path} marks band {_alpha(colors)} as transparency (alpha): it is left out, and pixels with 0 in it "
            "hold no data. If the band is data, such as infrared, name all bands (--bands)"
        )
    names = tuple(dataset.descriptions[band - 1] or _color_name(colors[band - 1], band) for band in chosen)
    return SceneInfo(
        path, scene_stem(path), dataset.width, dataset.height,
        None if dataset.crs is None else dataset.crs.to_wkt(), dataset.transform, chosen, names, kinds.pop(),
        dataset.nodatavals[chosen[0] - 1] if nodata is None else nodata, has_mask,
    )  # fmt: skip


def _alpha(colors: Sequence[str]) -> int | None:
    return colors.index("alpha") + 1 if "alpha" in colors else None


def _color_name(color: str, band: int) -> str:
    return color if color in ("red", "green", "blue", "nir") else f"band {band}"


def _require_same_bands(first: SceneInfo, other: SceneInfo) -> None:
    for what, one, two in (
        ("bands", len(first.bands), len(other.bands)),
        ("the type of values", first.dtype, other.dtype),
        ("the names of bands", first.band_names, other.band_names),
    ):
        if one != two:
            shown = [", ".join(value) if isinstance(value, tuple) else value for value in (one, two)]
            raise ValueError(
                f"{first.path} and {other.path} differ in {what}: {shown[0]} and {shown[1]}. One dataset has one kind "
                "of bands: prepare them apart, or choose common ones (--bands)"
            )
