"""`s5-hf score-roads` and `convert-graph` on small files."""

import json
import pickle

import numpy as np
import pytest
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.roads import RoadGraph, read_graph, write_graph

GRID = RoadGraph(
    [[300 * column + 400, 300 * row + 400] for row in range(4) for column in range(4)],
    [[4 * row + column, 4 * row + column + 1] for row in range(4) for column in range(3)]
    + [[4 * row + column, 4 * row + column + 4] for row in range(3) for column in range(4)],
)
HALF = RoadGraph(GRID.nodes, GRID.edges[: len(GRID.edges) // 2])


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_scores_of_two_files_are_printed(tmp_path):
    write_graph(tmp_path / "truth.geojson", GRID)
    write_graph(tmp_path / "roads.geojson", GRID)
    result = run("score-roads", tmp_path / "truth.geojson", tmp_path / "roads.geojson", "--protocol", "scene")
    assert result.exit_code == 0, result.output
    assert "APLS             100.00" in result.output and "junction F1      100.00" in result.output


def test_tiles_of_two_folders_are_paired_by_their_names(tmp_path):
    for number, graph in ((8, GRID), (9, HALF)):
        for name in (f"region_{number}_graph_gt.pickle", f"region_{number}_refine_gt_graph.p"):
            path = tmp_path / "20cities" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(pickle.dumps((GRID if "graph_gt" in name else HALF).adjacency()))
        (tmp_path / "predicted").mkdir(exist_ok=True)
        write_graph(tmp_path / "predicted" / f"{number}.geojson", graph)
    result = run("score-roads", tmp_path / "20cities", tmp_path / "predicted", "--output", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores["per_tile"]) == ["8", "9"] and scores["per_tile"]["8"]["apls"] == 1.0
    assert 0 < scores["per_tile"]["9"]["apls"] < 0.8 and scores["tiles"] == 2
    (tmp_path / "predicted" / "9.geojson").unlink()
    with pytest.raises(FileNotFoundError, match="has no graph for 1 of 2 tiles, the first is 9"):
        raise run("score-roads", tmp_path / "20cities", tmp_path / "predicted").exception


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_graphs_on_a_map_are_compared_in_metres(tmp_path, suffix):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_700_000)
    moved = RoadGraph(GRID.nodes + 4, GRID.edges)  # 2 m to either side
    write_graph(tmp_path / "truth.geojson", GRID, "EPSG:32632", place)
    write_graph(tmp_path / f"roads{suffix}", moved, "EPSG:32632", place)
    result = run("score-roads", tmp_path / "truth.geojson", tmp_path / f"roads{suffix}", "--junction-radius", 3)
    assert result.exit_code == 0, result.output
    assert "junction F1      100.00" in result.output
    closer = run("score-roads", tmp_path / "truth.geojson", tmp_path / f"roads{suffix}", "--junction-radius", 2.5)
    assert "junction F1        0.00" in closer.output


def test_a_graph_on_a_map_and_one_in_pixels_need_the_image(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    place = rasterio.Affine(1, 0, 400_000, 0, -1, 5_700_000)
    write_graph(tmp_path / "truth.geojson", GRID, "EPSG:32632", place)
    write_graph(tmp_path / "roads.geojson", GRID)
    paths = tmp_path / "truth.geojson", tmp_path / "roads.geojson"
    with pytest.raises(ValueError, match=r"is on a map, the other in pixels; name the image .*--image"):
        raise run("score-roads", *paths).exception
    form = {"width": 1800, "height": 1800, "count": 1, "dtype": "uint8", "crs": "EPSG:32632", "transform": place}
    with rasterio.open(tmp_path / "scene.tif", "w", compress="deflate", **form) as file:
        file.write(np.zeros((1, 1800, 1800), dtype=np.uint8))
    result = run("score-roads", *paths, "--image", tmp_path / "scene.tif")
    assert result.exit_code == 0, result.output
    assert "junction F1      100.00" in result.output


def test_pickles_become_lines(tmp_path):
    (tmp_path / "region_8_graph_gt.pickle").write_bytes(pickle.dumps({(10, 30): [(20, 40)]}))
    result = run("convert-graph", tmp_path / "region_8_graph_gt.pickle", tmp_path / "a.geojson")
    assert result.exit_code == 0 and "2 nodes, 1 edges" in result.output
    assert read_graph(tmp_path / "a.geojson").nodes.tolist() == [[30, 10], [40, 20]]
    source, target = tmp_path / "region_8_graph_gt.pickle", tmp_path / "b.graphml"
    assert run("convert-graph", source, target, "--rows-from-below", 400).exit_code == 0
    assert read_graph(target).nodes.tolist() == [[30, 390], [40, 380]]


def test_a_malicious_pickle_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "a.p").write_bytes(b"cos\nsystem\n(S'touch made'\ntR.")
    with pytest.raises(ValueError, match=r"a.p was refused: it holds the name os.system"):
        raise run("convert-graph", tmp_path / "a.p", tmp_path / "a.geojson").exception
    assert [path.name for path in tmp_path.iterdir()] == ["a.p"]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (("none.p", "roads.geojson"), FileNotFoundError, "there is no file or folder"),
        (("folder", "roads.geojson"), ValueError, "must be two files or two folders"),
        (("folder", "folder"), FileNotFoundError, "holds no road graphs, which end in"),
        (("text.txt", "roads.geojson"), ValueError, "road graphs are in files"),
    ],
)
def test_wrong_paths_are_named(tmp_path, names, error, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("roads")
    write_graph(tmp_path / "roads.geojson", GRID)
    with pytest.raises(error, match=message):
        raise run("score-roads", *(tmp_path / name for name in names)).exception
