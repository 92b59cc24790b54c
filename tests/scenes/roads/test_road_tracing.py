"""Roads of scenes: one graph however the windows lie, resumable, and none where there is no data."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from s5_hf.predictors.image_probabilities import NonFiniteOutputError
from s5_hf.roads.graphs import RoadGraph
from s5_hf.scenes.roads.road_journal import RoadJournal
from s5_hf.scenes.roads.road_settings import RoadSettings, road_grid
from s5_hf.scenes.roads.road_tracing import RoadTracer
from s5_hf.scenes.roads.window_spool import WindowSpool
from s5_hf.scenes.source import ArrayScene
from tests.scenes.road_networks import PaintedRoads
from tests.scenes.roads.parts import SETTINGS, painted_scene


class SceneWithHoles(ArrayScene):
    """A scene some of whose pixels hold no data."""

    def __init__(self, pixels, valid):
        super().__init__(pixels)
        self._is_valid = valid

    def read_rows(self, top, bottom):
        pixels, _ = super().read_rows(top, bottom)
        valid = self._is_valid[top:bottom]
        pixels[:, ~valid] = 0
        return pixels, valid


def trace(scene, folder, settings=SETTINGS, network=None, resume=False):
    scene = scene if isinstance(scene, ArrayScene) else ArrayScene(scene)
    network = network or PaintedRoads()
    with closing(RoadJournal(folder, "one", scene.width, resume)) as journal:
        return RoadTracer(scene, network, settings, WindowSpool(journal.spool), journal).trace()


def components(found):
    """Places of the nodes of each connected part that has edges."""
    owner = list(range(len(found.nodes)))

    def root(node):
        while owner[node] != node:
            node = owner[node]
        return node

    for first, second in found.edges.tolist():
        owner[root(first)] = root(second)
    parts = {}
    for node in range(len(found.nodes)):
        parts.setdefault(root(node), []).append(found.nodes[node])
    return [np.array(part) for part in parts.values() if len(part) > 1]


def on_a_road(nodes, pixels):
    return (pixels[nodes[:, 1], nodes[:, 0], 0] > 0).all()


@pytest.mark.parametrize("window", [64, 96, 208])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_one_graph_however_the_windows_lie(tmp_path, window, batch_size):
    pixels = painted_scene()
    found = trace(pixels, tmp_path / "work", replace(SETTINGS, window=window, batch_size=batch_size))
    assert len(components(found)) == 1
    assert on_a_road(found.nodes, pixels)
    places = {tuple(node) for node in found.nodes.tolist()}
    assert {(60, 40), (60, 113), (154, 40)} <= places
    assert (np.linalg.norm(found.nodes[found.edges[:, 0]] - found.nodes[found.edges[:, 1]], axis=1) < 28).all()
    # From one end of the scene to the other, across every border of a window.
    assert found.nodes[:, 0].min() < 9 and found.nodes[:, 0].max() > 190
    assert found.nodes[:, 1].min() < 9 and found.nodes[:, 1].max() > 150
    assert (found.edge_scores > 0.443).all()
    RoadGraph(found.nodes, found.edges)  # without loops and repeated edges


def test_windows_decide_nothing_about_nodes(tmp_path):
    """The scores of this network do not depend on its window, so neither do nodes or, with all neighbours, edges."""
    pixels = painted_scene()
    settings = replace(SETTINGS, max_neighbors=40)
    whole = trace(pixels, tmp_path / "a", replace(settings, window=208))
    for number, overlap in enumerate((0.5, 0.55, 0.75)):
        cut = trace(pixels, tmp_path / f"b{number}", replace(settings, overlap=overlap))
        np.testing.assert_array_equal(cut.nodes, whole.nodes)
        np.testing.assert_array_equal(cut.edges, whole.edges)
        np.testing.assert_allclose(cut.edge_scores, whole.edge_scores, atol=2e-2)


def test_a_shifted_scene_gives_a_shifted_graph(tmp_path):
    """The borders of windows lie elsewhere on the roads."""
    still = trace(painted_scene(), tmp_path / "a")
    moved = trace(painted_scene(shift=(7, 11)), tmp_path / "b")
    assert len(components(moved)) == len(components(still)) == 1
    for row, column in ((40, 60), (113, 60), (40, 154)):
        assert [column + 7, row + 11] in moved.nodes.tolist()
    assert abs(len(moved.edges) - len(still.edges)) <= 6


def test_areas_without_data_have_no_roads_and_none_lead_across(tmp_path):
    pixels, valid = painted_scene(), np.ones((160, 200), dtype=bool)
    valid[:, 100:106] = False
    valid[:30] = False
    found = trace(SceneWithHoles(pixels, valid), tmp_path / "work")
    assert valid[found.nodes[:, 1], found.nodes[:, 0]].all()
    columns = found.nodes[found.edges, 0]
    assert not ((columns.min(axis=1) < 100) & (columns.max(axis=1) > 105)).any()
    assert len(components(found)) == 2


class ForgetfulNetwork(PaintedRoads):
    """Says that everything is connected."""

    def connect(self, scores, features, points, neighbours, valid):
        return valid.float()


def test_no_edge_crosses_a_gap_in_the_data_whatever_the_network_says(tmp_path):
    pixels, valid = painted_scene(), np.ones((160, 200), dtype=bool)
    valid[:, 100:106] = False
    columns_of = {}
    for name, scene in (("gap", SceneWithHoles(pixels, valid)), ("whole", ArrayScene(pixels))):
        found = trace(scene, tmp_path / name, network=ForgetfulNetwork())
        columns = found.nodes[found.edges, 0]
        columns_of[name] = int(((columns.min(axis=1) < 100) & (columns.max(axis=1) > 105)).sum())
    assert columns_of["gap"] == 0 < columns_of["whole"]


@pytest.mark.parametrize("fail_at", [4, 30, 47])
def test_a_resumed_run_equals_one_that_was_not_interrupted(tmp_path, fail_at):
    pixels = painted_scene(height=300)
    settings = replace(SETTINGS, batch_size=2)
    expected, whole = trace(pixels, tmp_path / "a", settings, network := PaintedRoads()), network.windows
    with pytest.raises(KeyboardInterrupt):
        trace(pixels, tmp_path / "b", settings, PaintedRoads(fail_at))
    resumed = PaintedRoads()
    found = trace(pixels, tmp_path / "b", settings, resumed, resume=True)
    for name in ("nodes", "edges", "edge_scores", "node_scores", "is_keypoint"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert resumed.windows < whole or fail_at < 5
    assert resumed.asked <= network.asked


def test_a_folder_of_another_run_is_not_continued(tmp_path):
    pixels = painted_scene()
    with pytest.raises(KeyboardInterrupt):
        trace(pixels, tmp_path / "b", SETTINGS, PaintedRoads(20))
    with closing(RoadJournal(tmp_path / "b", "other", 200, True)) as journal:
        assert journal.rows_done == journal.restart_window == 0


def test_windows_wait_only_as_long_as_they_must(tmp_path):
    """Of a long scene no more windows wait than those of a few rows, and no more votes are pending."""
    pixels = np.concatenate([painted_scene()] * 6)
    most = {"waiting": 0, "pending": 0}

    class WatchedSpool(WindowSpool):
        def put(self, window):
            super().put(window)
            most["waiting"] = max(most["waiting"], len(self))

    class WatchedJournal(RoadJournal):
        def save(self, windows_done, restart_window, points, sums, windows):
            most["pending"] = max(most["pending"], len(sums))
            super().save(windows_done, restart_window, points, sums, windows)

    scene = ArrayScene(pixels)
    with closing(WatchedJournal(tmp_path / "work", "one", scene.width, False)) as journal:
        found = RoadTracer(scene, PaintedRoads(), SETTINGS, WatchedSpool(journal.spool), journal).trace()
    columns = len(road_grid(*pixels.shape[:2], SETTINGS).lefts)
    assert most["waiting"] <= 5 * columns
    assert most["pending"] < 0.35 * 2 * len(found.edges) * 8
    assert len(list(journal.folder.glob("windows/*"))) == 0


def test_outputs_that_are_not_finite_are_refused(tmp_path):
    class BrokenNetwork(PaintedRoads):
        def look(self, pixel_values):
            scores, features = super().look(pixel_values)
            scores[-1, 0, 0, 0] = float("nan")
            return scores, features

    with pytest.raises(NonFiniteOutputError, match="window at row 0, column 64 of image"):
        trace(painted_scene(), tmp_path / "work", network=BrokenNetwork())


@pytest.mark.parametrize("size", [(7, 9), (16, 300), (65, 31)])
def test_small_and_narrow_scenes(tmp_path, size):
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    pixels[3, :, 0] = 200
    found = trace(pixels, tmp_path / "work")
    assert (found.nodes[:, 1] == 3).all()
    assert len(found.edges) == max(0, len(found.nodes) - 1) or size[1] == 300
    assert len(components(found)) == (1 if len(found.nodes) > 1 else 0)


def test_an_empty_scene_has_an_empty_graph(tmp_path):
    found = trace(np.zeros((100, 100, 3), dtype=np.uint8), tmp_path / "work")
    assert found.nodes.shape == found.edges.shape == (0, 2)
    assert found.edge_scores.shape == (0,)


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"windows of 64 pixels with an overlap of 0\.25 share 16 pixels.*at least 1"):
        RoadSettings(window=64, overlap=0.25)
    with pytest.raises(ValueError, match="topology_threshold must be in"):
        RoadSettings(topology_threshold=2)
    with pytest.raises(ValueError, match="road_threshold must be in"):
        RoadSettings(road_threshold=-1)
    with pytest.raises(ValueError, match="window must be a positive multiple of 16"):
        RoadSettings(window=100)
    chosen = RoadSettings.chosen({"road_threshold": 0.3, "window": 256, "unknown": 1}, window=128, overlap=None)
    assert (chosen.window, chosen.road_threshold, chosen.overlap) == (128, 0.3, 0.5)
    with pytest.raises(TypeError, match="colour"):
        RoadSettings.chosen({}, colour=3)
