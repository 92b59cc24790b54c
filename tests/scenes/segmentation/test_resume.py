"""Interrupted scenes: what they leave behind, and how they go on."""

import numpy as np
import pytest

from s5_hf.scenes import MapProducts, WindowSettings, segment_scene
from tests.scenes.conftest import smooth_image
from tests.scenes.segmenters import NeighbourSegmenter

EVERYTHING = MapProducts(probabilities=True, entropy=True, overlay=True, areas=True)
SETTINGS = WindowSettings(window=128, overlap=0.5, batch_size=3)


class Interrupted(NeighbourSegmenter):
    """Raises in its n-th batch."""

    def __init__(self, batches, error=KeyboardInterrupt):
        super().__init__()
        self.batches, self.error = batches, error

    def predict(self, pixel_values):
        if len(self.batch_sizes) == self.batches:
            raise self.error
        return super().predict(pixel_values)


def run(segmenter, path, output, lines=None, **options):
    report = (lambda line: None) if lines is None else lines.append
    options = {"settings": SETTINGS, "products": EVERYTHING, **options}
    return segment_scene(segmenter, path, output, report=report, **options)


def pixels(path):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")
    with rasterio.open(path) as dataset:
        return dataset.read()


def names(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture
def scene(write_geotiff):
    image = smooth_image(1400, 200)
    image[700:760, 20:90] = 0
    return write_geotiff("scene.tif", image.transpose(2, 0, 1), nodata=0)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("batches", [11, 17, 20])
def test_a_resumed_run_equals_one_that_was_not_interrupted(tmp_path, scene, suffix, batches):
    whole = run(NeighbourSegmenter(), scene, tmp_path / "whole" / f"map{suffix}")
    output = tmp_path / "stopped" / f"map{suffix}"
    lines = []
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(batches), scene, output, lines)
    assert names(output.parent) == [f".map{suffix}.partial"]
    assert "continues after them" in lines[-1]
    segmenter = NeighbourSegmenter()
    resumed = run(segmenter, scene, output, lines, resume=True)
    assert lines[-1].startswith("resuming after row 512" if batches < 17 else "resuming after row 1,024")
    assert len(segmenter.batch_sizes) < 21 - (6 if batches < 17 else 13)
    assert names(output.parent) == names(tmp_path / "whole")
    for name in names(output.parent):
        ours, theirs = output.parent / name, tmp_path / "whole" / name
        if name.endswith((".json", ".csv")):
            assert ours.read_bytes() == theirs.read_bytes()
        else:
            assert np.array_equal(pixels(ours), pixels(theirs))
    assert resumed.areas == whole.areas


def test_without_finished_rows_nothing_is_left(tmp_path, scene):
    output = tmp_path / "maps" / "map.tif"
    for error in (KeyboardInterrupt, RuntimeError("out of memory")):
        with pytest.raises((KeyboardInterrupt, RuntimeError)):
            run(Interrupted(3, error), scene, output)
        assert names(output.parent) == []


def test_starting_anew_has_to_be_said(tmp_path, scene):
    output = tmp_path / "maps" / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(12), scene, output)
    with pytest.raises(FileExistsError, match=r"map.tif.partial holds the unfinished work .*--resume.*--overwrite"):
        run(NeighbourSegmenter(), scene, output)
    segmenter = NeighbourSegmenter()
    run(segmenter, scene, output, overwrite=True)
    assert len(segmenter.batch_sizes) == 21
    assert ".map.tif.partial" not in names(output.parent)


def test_a_changed_run_cannot_go_on(tmp_path, scene):
    output = tmp_path / "maps" / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted(12), scene, output)
    with pytest.raises(ValueError, match="changed: the windows or their augmentation, the products"):
        run(
            NeighbourSegmenter(),
            scene,
            output,
            resume=True,
            settings=WindowSettings(window=64),
            products=MapProducts(),
        )
    with pytest.raises(ValueError, match="changed: the model"):
        run(NeighbourSegmenter(seed=1), scene, output, resume=True)


def test_a_finished_scene_is_left_alone(tmp_path, scene):
    output = tmp_path / "map.tif"
    result = run(NeighbourSegmenter(), scene, output)
    before, lines = output.read_bytes(), []
    again = run(Interrupted(0), scene, output, lines, resume=True)
    assert again.areas == result.areas
    assert lines == [f"{output} exists already"]
    assert output.read_bytes() == before


def test_polygons_that_are_missing_are_made_up_for(tmp_path, write_geotiff):
    pytest.importorskip("shapely", reason="polygons need shapely (the extra geo)")
    scene, output = write_geotiff("scene.tif", smooth_image(40, 40).transpose(2, 0, 1)), tmp_path / "map.tif"
    run(NeighbourSegmenter(), scene, output, products=MapProducts())
    result = run(Interrupted(0), scene, output, products=MapProducts(polygons=".geojson"), resume=True)
    assert result.files.polygons.is_file()


@pytest.fixture
def little_room():
    """Files cannot grow beyond 60 kB, so writing fails as it does on a full disk."""
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX systems do")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, scene, little_room, suffix):
    output = tmp_path / "maps" / f"map{suffix}"
    with pytest.raises(OSError, match=r"map(_probabilities.tif|.raw) cannot be written; is the disk full"):
        run(NeighbourSegmenter(), scene, output, products=MapProducts(probabilities=True))
    assert names(output.parent) == []
