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


def make_together(count, scene, output, segmenters=None, **options):
    """As `count` processes; the result of the first, and how many windows each predicted. The first error ends all."""
    barrier = threading.Barrier(count, timeout=20)
    segmenters = segmenters or [NeighbourSegmenter() for _ in range(count)]

    def part(index):
        try:
            return make(RowTeam(index, count, barrier.wait), scene, output, segmenters[index], **options)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(count) as threads:
        results = list(threads.map(part, range(count)))
    return results[0], [sum(segmenter.batch_sizes) for segmenter in segmenters]


def interrupt(scene, output, batches, **options):
    """A run that one signal ends, of as many processes as there are numbers of batches for them to make first."""
    everyone = threading.Barrier(len(batches), timeout=20)
    segmenters = [InterruptedTogether(number, everyone) for number in batches]
    with pytest.raises((KeyboardInterrupt, threading.BrokenBarrierError)):
        make_together(len(batches), scene, output, segmenters, **options)


class InterruptedTogether(Interrupted):
    """Raises in its n-th batch, when the others have got to theirs."""

    def __init__(self, batches, everyone):
        super().__init__(batches)
        self.everyone = everyone

    def predict(self, pixel_values):
        if len(self.batch_sizes) == self.batches:
            self.everyone.wait()
        return super().predict(pixel_values)


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


@pytest.fixture
def tall_scene(write_geotiff):
    return write_geotiff("tall.tif", smooth_image(2600, 140).transpose(2, 0, 1))


# 8 batches complete the 512 rows, of 1,300 for each of two processes, that are noted; 2 and 4 batches do not.
@pytest.mark.parametrize(("batches", "afterwards"), [((4, 8), 1), ((8, 8), 3), ((8, 2), 2)])
def test_rows_of_every_process_outlast_an_interruption(tmp_path, tall_scene, batches, afterwards):
    alone, together = (tmp_path / name / "map.tif" for name in ("alone", "together"))
    expected = make(RowTeam(), tall_scene, alone)
    interrupt(tall_scene, together, batches)
    found, windows = make_together(afterwards, tall_scene, together, resume=True)
    assert_same_files(found, expected)
    assert names(together.parent) == names(alone.parent), "nothing else is left"
    kept = batches.count(8)
    assert 80 - 22 * kept < sum(windows) < 80 - 14 * kept + 8 * afterwards, "of 80, and those at borders between bands"


def test_two_interruptions(tmp_path, tall_scene):
    alone, together = (tmp_path / name / "map.tif" for name in ("alone", "together"))
    expected = make(RowTeam(), tall_scene, alone)
    interrupt(tall_scene, together, (4, 8))
    interrupt(tall_scene, together, (8, 6), resume=True)
    found, windows = make_together(1, tall_scene, together, resume=True)
    assert_same_files(found, expected)
    assert sum(windows) < 48, "of 80: three bands and the first rows were finished"


def test_what_others_finished_is_not_lost_by_mistake(tmp_path, tall_scene):
    together = tmp_path / "map.tif"
    interrupt(tall_scene, together, (4, 8))
    with pytest.raises(FileExistsError, match=r"\.map\.tif\.partial holds the unfinished work"):
        make(RowTeam(), tall_scene, together)
    with pytest.raises(ValueError, match="since then changed: the model"):
        make(RowTeam(), tall_scene, together, NeighbourSegmenter(seed=1), resume=True)
    _, windows = make_together(1, tall_scene, together, resume=True)
    assert sum(windows) < 70
    interrupt(tall_scene, tmp_path / "other.tif", (4, 8))
    _, windows = make_together(1, tall_scene, tmp_path / "other.tif", overwrite=True)
    assert sum(windows) == 80, "all over again"


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
