"""Scenes that several processes make together, played by threads: equal to those of one process."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s5_hf.scenes import MapProducts, WindowSettings
from s5_hf.scenes.many_scenes import SceneShare
from s5_hf.scenes.segmentation.shared_rows import RowTeam
from s5_hf.scenes.segmentation.single_scene import segment_scene_together
from tests.scenes.conftest import smooth_image
from tests.scenes.segmentation.test_resume import EVERYTHING, Interrupted, names, pixels
from tests.scenes.segmenters import NeighbourSegmenter

SETTINGS = WindowSettings(window=128, overlap=0.5, batch_size=3)


def make(team, scene, output, segmenter=None, settings=SETTINGS, **options):
    return segment_scene_together(
        team,
        segmenter or NeighbourSegmenter(),
        scene,
        output,
        settings=settings,
        products=EVERYTHING,
        progress=False,
        report=lambda line: None,
        **options,
    )


def make_together(count, scene, output, **options):
    """As `count` processes; the result of the first, and how many windows each predicted."""
    barrier = threading.Barrier(count, timeout=20)
    segmenters = [NeighbourSegmenter() for _ in range(count)]

    def part(index):
        return make(RowTeam(index, count, barrier.wait), scene, output, segmenters[index], **options)

    with ThreadPoolExecutor(count) as threads:
        results = list(threads.map(part, range(count)))
    return results[0], [sum(segmenter.batch_sizes) for segmenter in segmenters]


@pytest.fixture
def scene(write_geotiff):
    image = smooth_image(1200, 150)
    image[:40, 20:90] = 0  # without data, but not all of a window
    return write_geotiff("scene.tif", image.transpose(2, 0, 1), nodata=0)


def assert_same_files(first, second):
    for name in ("classes", "probabilities", "entropy"):
        np.testing.assert_array_equal(pixels(getattr(first.files, name)), pixels(getattr(second.files, name)))
    assert first.areas == second.areas
    assert first.files.overlay.read_bytes() == second.files.overlay.read_bytes()


@pytest.mark.parametrize("count", [2, 3])
def test_processes_together_make_what_one_makes(tmp_path, scene, count):
    alone, together = (tmp_path / name / "map.tif" for name in ("alone", "together"))
    segmenter = NeighbourSegmenter()
    expected = make(RowTeam(), scene, alone, segmenter)
    found, windows = make_together(count, scene, together)
    assert_same_files(found, expected)
    assert names(together.parent) == names(alone.parent), "nothing else is left"
    whole = sum(segmenter.batch_sizes)
    assert all(0 < number < whole / count + 12 for number in windows), "the work is shared"


def test_processes_together_resume_what_one_began(tmp_path, scene):
    alone, together = (tmp_path / name / "map.tif" for name in ("alone", "together"))
    expected = make(RowTeam(), scene, alone)
    with pytest.raises(KeyboardInterrupt):
        make(RowTeam(), scene, together, Interrupted(10))
    found, windows = make_together(2, scene, together, resume=True)
    assert_same_files(found, expected)
    assert sum(windows) < 34, "of 36 and those at the border between two bands"


def test_a_scene_of_fewer_rows_than_processes(tmp_path, write_geotiff):
    scene = write_geotiff("flat.tif", smooth_image(2, 150).transpose(2, 0, 1))
    found, _ = make_together(3, scene, tmp_path / "map.tif")
    assert pixels(found.files.classes).shape == (1, 2, 150)


@pytest.mark.parametrize(("scenes", "own", "together"), [(1, 1, True), (2, 2, True), (3, 1, False), (5, 2, False)])
def test_scenes_are_shared_whole_where_there_are_enough(monkeypatch, scenes, own, together):
    class State:
        process_index, num_processes = 1, 3

    monkeypatch.setattr("s5_hf.scenes.many_scenes.PartialState", lambda **named: State())
    products = {f"{number}.tif": [] for number in range(scenes)}
    share = SceneShare(products, by_rows=True)
    assert (len(share.own), share.together) == (own, together)
    assert SceneShare(products).own == list(products)[1::3]


def test_products_of_a_band_are_those_that_are_wanted(tmp_path, scene):
    barrier = threading.Barrier(2, timeout=20)
    with ThreadPoolExecutor(2) as threads:
        results = threads.map(
            lambda index: segment_scene_together(
                RowTeam(index, 2, barrier.wait),
                NeighbourSegmenter(),
                scene,
                tmp_path / "map.tif",
                settings=SETTINGS,
                products=MapProducts(),
                progress=False,
                report=lambda line: None,
            ),
            range(2),
        )
        assert [bool(result.areas) for result in results] == [True, False]
    assert names(tmp_path) == ["map.json", "map.tif", "scene.tif"]
