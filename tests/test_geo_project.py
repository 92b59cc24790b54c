"""The helper that writes a small project of scenes and polygons: what it promises to the tests that build on it."""

import numpy as np
import pytest

pytest.importorskip("pyogrio", reason="scenes and polygons need the extra geo")

import pyogrio
import rasterio
import rasterio.features
import shapely

from s5_hf.synthetic import SCENE_LABELS
from tests.geo_project import BANDS, IGNORE, synthetic_pairs, write_geo_project


def test_scenes_and_polygons_agree_with_the_masks(tmp_path):
    project = write_geo_project(tmp_path, synthetic_pairs(8, 64), SCENE_LABELS)
    assert [path.name for path in project.paths] == ["scene_0.tif", "scene_1.tif"]
    frame = pyogrio.raw.read(project.labels, columns=["class"])
    ids = [project.classes.index(name) for name in frame[3][0]]
    shapes = list(zip(shapely.from_wkb(frame[2]), ids, strict=True))
    for path in project.paths:
        with rasterio.open(path) as scene:
            assert (scene.count, scene.dtypes[0], scene.nodata, scene.crs.to_epsg()) == (4, "uint16", 0, 32618)
            assert scene.descriptions == BANDS
            drawn = rasterio.features.rasterize(
                shapes, scene.shape, fill=IGNORE, transform=scene.transform, dtype="uint8"
            )
            drawn[scene.dataset_mask() == 0] = IGNORE
        np.testing.assert_array_equal(drawn, project.masks[path.stem])
    assert (project.masks["scene_1"][:8, :8] == IGNORE).all() and (project.masks["scene_0"] != IGNORE).all()
