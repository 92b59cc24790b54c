"""Scenes for the tests of inference."""

import numpy as np
import pytest


def smooth_image(height, width, seed=0):
    """uint8 (height, width, 3): waves and some noise, so that classes form regions."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (9 + 4 * c) + c) + np.cos(y / (11 - 2 * c)) for c in range(3)]
    noise = generator.normal(0, 0.3, (height, width, 3))
    return np.clip(128 + 45 * (np.stack(waves, axis=-1) + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def write_geotiff(tmp_path):
    """Write an array (bands, height, width) as GeoTIFF; EPSG:32633, pixels of 0.5 m unless told otherwise."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")
    from rasterio.transform import from_origin

    def write(name, array, crs="EPSG:32633", transform=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {
            "driver": "GTiff",
            "count": array.shape[0],
            "height": array.shape[1],
            "width": array.shape[2],
            "dtype": array.dtype.name,
        }
        if crs is not None:
            profile |= {"crs": crs, "transform": transform or from_origin(390000, 5820000, 0.5, 0.5)}
        descriptions = options.pop("descriptions", None)
        with rasterio.open(path, "w", **profile, **options) as dataset:
            dataset.write(array)
            if descriptions:
                dataset.descriptions = descriptions
        return path

    return write
