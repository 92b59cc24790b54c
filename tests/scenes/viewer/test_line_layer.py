"""Lines on the page of a scene."""

import re

import numpy as np
import pytest

from s5_hf.roads.graphs import RoadGraph, write_graph
from s5_hf.scenes.viewer.write import write_viewer

from .browsing import with_script
from .test_viewer import write_scene

CROSS = RoadGraph(np.array([[10.5, 40.5], [60, 40], [110, 40], [60, 70.25]]), np.array([[0, 1], [1, 2], [1, 3]]))


@pytest.fixture
def page(tmp_path):
    write_graph(tmp_path / "roads.geojson", CROSS)
    return write_viewer(write_scene(tmp_path), lines=tmp_path / "roads.geojson").path


def test_lines_are_in_the_pixels_of_the_scene(page):
    text = page.read_text(encoding="utf-8")
    paths = re.search(r'<svg id="lines".*? d="([^"]*)"/></svg>', text)[1]
    lines = [[tuple(map(float, point.split())) for point in line.split("L")] for line in paths.split("M")[1:]]
    assert sorted(map(tuple, (map(tuple, sorted(line)) for line in lines))) == [
        ((10.5, 40.5), (60.0, 40.0)),
        ((60.0, 40.0), (60.0, 70.2)),
        ((60.0, 40.0), (110.0, 40.0)),
    ]
    assert "roads.geojson: 3 lines" in text
    assert "<script src" not in text


def test_a_page_without_lines_has_none(tmp_path):
    text = write_viewer(write_scene(tmp_path)).path.read_text(encoding="utf-8")
    assert "<svg" not in text and "lines-shown" not in text.partition("<script>")[0]


def test_lines_in_coordinates_of_the_map(tmp_path, write_geotiff):
    from rasterio.transform import from_origin

    place = from_origin(390000, 5820000, 0.5, 0.5)
    ids = write_geotiff("ids.tif", np.ones((1, 80, 120), dtype=np.uint8))
    scene = write_geotiff("scene.tif", np.full((3, 80, 120), 90, dtype=np.uint8))
    for suffix in (".geojson", ".gpkg"):
        write_graph(tmp_path / f"roads{suffix}", CROSS, "EPSG:32633", place)
        page = write_viewer(ids, image=scene, lines=tmp_path / f"roads{suffix}", output=tmp_path / f"a{suffix}.html")
        assert re.search(r"60(\.0)? 40L110 40", page.path.read_text(encoding="utf-8"))


def test_lines_that_cannot_be_shown_are_refused(tmp_path):
    result = write_scene(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        write_viewer(result, lines=tmp_path / "roads.geojson")
    write_graph(tmp_path / "far.geojson", RoadGraph(CROSS.nodes + 500, CROSS.edges))
    with pytest.raises(ValueError, match="no part lies on the image of 120 x 80 px"):
        write_viewer(result, lines=tmp_path / "far.geojson")
    assert not (tmp_path / "map.html").exists()


def test_lines_move_with_the_scene_in_a_browser(page, browser):
    script = """
    addEventListener("load", () => setTimeout(() => {
      const before = document.querySelector("#lines path").getBoundingClientRect().width;
      document.getElementById("zoom-in").click();
      const after = document.querySelector("#lines path").getBoundingClientRect().width;
      document.getElementById("lines-shown").click();
      document.body.dataset.told = `${(after / before).toFixed(2)} ${document.getElementById("lines-layer").hidden}`;
    }, 500));
    """
    shown = browser(with_script(page, script), "--dump-dom")
    grown, hidden = re.search(r'data-told="([^"]*)"', shown)[1].split()
    assert 1.3 < float(grown) < 1.5 and hidden == "true"
