"""Scenes read over http by byte ranges."""

import time

import numpy as np
import pytest

from s5_hf.scenes.source import open_scene
from tests.dataset_builders.file_server import FileServer
from tests.scenes.conftest import smooth_image


@pytest.fixture
def server(tmp_path):
    server = FileServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def cog(write_geotiff):
    """A tiled scene that does not compress, so that its size shows what was read of it."""
    image = np.random.default_rng(0).integers(0, 256, (3, 1024, 1024), dtype=np.uint8)
    return image, write_geotiff("scene.tif", image, tiled=True, blockxsize=256, blockysize=256, interleave="pixel")


def test_only_the_rows_that_are_asked_for_travel(server, cog):
    image, path = cog
    with open_scene(f"{server.url}/scene.tif") as scene:
        assert scene.crs.to_epsg() == 32633
        pixels, valid = scene.read_rows(256, 512)
    assert valid is None
    assert np.array_equal(pixels, image[:, 256:512])
    ranges = [asked.removeprefix("bytes=").split("-") for _, asked in server.requests if asked]
    # GDAL asks once without a range, reads the headers and hangs up.
    assert len(ranges) >= len(server.requests) - 1
    travelled = sum(int(last) - int(first) + 1 for first, last in ranges)
    assert travelled < 0.6 * path.stat().st_size


def test_a_url_without_a_scene_is_named(server, write_geotiff):
    write_geotiff("scene.tif", smooth_image(20, 20).transpose(2, 0, 1))
    with pytest.raises(OSError, match=r"missing.tif cannot be read"), open_scene(f"{server.url}/missing.tif"):
        pass


def test_a_server_that_trickles_bytes_is_given_up(server, write_geotiff, monkeypatch):
    """One byte every 50 milliseconds would take hours; with the limits at a second, it takes seconds to say so."""
    write_geotiff("scene.tif", np.random.default_rng(0).integers(0, 256, (3, 200, 200), dtype=np.uint8))
    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_TIME", "1")
    server.trickles["scene.tif"] = 0.05
    start = time.monotonic()
    with pytest.raises(OSError, match=r"scene.tif cannot be read"), open_scene(f"{server.url}/scene.tif"):
        pass
    assert time.monotonic() - start < 30


def test_remote_reads_have_a_limit_of_time_unless_the_environment_sets_one(server, cog, monkeypatch):
    import rasterio.env

    monkeypatch.setenv("GDAL_HTTP_LOW_SPEED_LIMIT", "5")
    with open_scene(f"{server.url}/scene.tif"):
        options = rasterio.env.getenv()
    assert options["GDAL_HTTP_CONNECTTIMEOUT"] == "30" and options["GDAL_HTTP_LOW_SPEED_TIME"] == "60"
    assert options.get("GDAL_HTTP_LOW_SPEED_LIMIT") in (None, "5")
