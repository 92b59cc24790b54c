"""Small GeoTIFFs of any number of bands, with masks that the values give away."""

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("red", "green", "blue", "nir")


def write_bands(path: Path, values: np.ndarray, names: tuple[str, ...] | None = None, **options: object) -> Path:
    """Write values `(bands, height, width)`; `options` are those of rasterio, such as nodata."""
    import rasterio
    from rasterio.transform import from_origin

    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    place = {"crs": "EPSG:32633", "transform": from_origin(390000, 5820000, 0.5, 0.5)}
    with rasterio.open(path, "w", **profile, **place, dtype=values.dtype.name, **options) as dataset:
        dataset.write(values)
        if names:
            dataset.descriptions = names
    return path


def block_bands(seed: int, size: int = 72, nodata_corner: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """uint16 values `(4, size, size)` up to about 3000, and class ids: 0 soil, 1 crop (bright in the fourth band), 2
    water (dark everywhere). With `nodata_corner` the first 8 x 8 pixels are 0."""
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 3, (size // 24, size // 24)).repeat(24, 0).repeat(24, 1).astype(np.uint8)
    levels = np.array([[1500, 1200, 900, 1000], [600, 900, 500, 2600], [300, 400, 500, 200]])
    values = np.clip(levels[mask] + rng.normal(0, 60, (size, size, 4)), 1, None).astype(np.uint16).transpose(2, 0, 1)
    if nodata_corner:
        values[:, :8, :8] = 0
    return values, mask


def write_dataset(folder: Path, train: int = 6, val: int = 2, **options: object) -> Path:
    """`{train,val}/{images,masks}` of four-band images of 16 bits; 0 is no data."""
    for split, count, first in (("train", train, 0), ("val", val, 100)):
        for index in range(count):
            values, mask = block_bands(first + index, nodata_corner=index == 0)
            write_bands(folder / split / "images" / f"{index}.tif", values, NAMES, nodata=0, **options)
            (folder / split / "masks").mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / split / "masks" / f"{index}.png")
    return folder
