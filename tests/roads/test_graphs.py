"""The graph class, its repairs and its files."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.dataset_builders.graph_lines import ImageGrid, graph_of_lines, parse_lines
from s5_hf.roads import RoadGraph, from_networkx, read_graph, to_networkx, write_graph

NODES = [[10, 10], [40, 10], [40, 30], [40, 50], [70, 10], [90, 90]]
EDGES = [[0, 1], [1, 2], [2, 3], [4, 1]]


def segments(graph):
    """Edges as sets of places, so that the order of nodes and edges does not matter."""
    return {frozenset(map(tuple, np.round(graph.nodes[edge], 6).tolist())) for edge in graph.edges}


@pytest.fixture
def graph():
    return RoadGraph(NODES, EDGES)


def test_arrays_have_their_types_and_chains_end_at_crossings(graph):
    assert graph.nodes.dtype == np.float64 and graph.edges.dtype == np.int64
    assert graph.degrees().tolist() == [1, 3, 2, 1, 1, 0]
    assert graph.lengths().tolist() == [30, 20, 20, 30]
    assert sorted(chain.tolist() for chain in graph.chains()) == [[0, 1], [1, 2, 3], [1, 4]]
    empty = RoadGraph([], [])
    assert empty.nodes.shape == empty.edges.shape == (0, 2) and empty.chains() == []


def test_a_ring_is_one_chain_and_a_lasso_two():
    ring = RoadGraph([[0, 0], [1, 0], [1, 1]], [[0, 1], [1, 2], [2, 0]])
    assert [chain.tolist() for chain in ring.chains()] == [[0, 1, 2, 0]]
    lasso = RoadGraph([[0, 0], [1, 0], [1, 1], [5, 5]], [[0, 1], [1, 2], [2, 0], [0, 3]])
    assert sorted(map(len, lasso.chains())) == [2, 4]


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ([[0, 0, 0]], [], r"nodes of the shape \(count, 2\), got \(1, 3\)"),
        ([[0, float("nan")]], [], "node 0 is at"),
        ([[0, 0]], [[0, 1]], r"edge 0 joins nodes \[0, 1\], but there are 1 nodes"),
        ([[0, 0]], [[0, -1]], r"edge 0 joins nodes \[0, -1\]"),
        ([[0, 0]], [[0.5, 0]], "whole numbers"),
        ([[0, 0], [1, 1]], [[1, 1]], "edge 0 joins node 1 to itself"),
        ([[0, 0], [1, 1]], [[0, 1], [1, 0]], r"edge 1, \[1, 0\], is there twice"),
    ],
)
def test_wrong_graphs_are_refused(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        RoadGraph(nodes, edges)


def test_loops_and_repeats_are_repaired_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        graph = RoadGraph.repaired([[0, 0], [1, 1]], [[0, 1], [1, 1], [1, 0], [0, 1]], "a.geojson")
    assert graph.edges.tolist() == [[0, 1]]
    assert "a.geojson: 1 self-loops were dropped" in caplog.text
    assert "a.geojson: 2 repeated edges were dropped" in caplog.text


def test_edges_are_cut_at_the_border_of_the_image(caplog):
    graph = RoadGraph([[5, 5], [25, 5], [-10, 20], [30, 20], [50, 50]], [[0, 1], [2, 3], [3, 4]])
    cut = graph.within((20, 30), "a")
    assert segments(cut) == {frozenset({(5, 5), (20, 5)}), frozenset({(0, 20), (20, 20)})}
    assert "4 of 5 nodes lie outside the image of 20 x 30 px" in caplog.text


def test_swapped_coordinates_are_told_from_bounds(caplog):
    nodes, edges = [[5, 80], [5, 90]], [[0, 1]]
    with pytest.raises(ValueError, match=r"no part lies on the image of 100 x 20 px.*x and y were swapped"):
        RoadGraph.repaired(nodes, edges, "a", (100, 20))
    RoadGraph.repaired([[5, 10], [5, 90]], edges, "a", (100, 20))
    assert "all would lie on it if x and y were swapped" in caplog.text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 15), st.integers(-5, 15)), min_size=2, max_size=8), st.data())
def test_what_is_cut_lies_on_the_image_and_is_as_long_as_the_part_inside(nodes, data):
    pairs = st.tuples(st.integers(0, len(nodes) - 1), st.integers(0, len(nodes) - 1))
    graph = RoadGraph.repaired(nodes, data.draw(st.lists(pairs, max_size=8)))
    steps = (np.arange(2000) + 0.5) / 2000
    inside = 0.0
    for (start, end), length in zip(graph.nodes[graph.edges], graph.lengths(), strict=True):
        points = start + steps[:, None] * (end - start)
        inside += length * ((points >= 0) & (points <= 10)).all(axis=1).mean()
    try:
        cut = graph.within((10, 10))
    except ValueError:
        assert inside < 0.1
        return
    assert ((cut.nodes >= 0) & (cut.nodes <= 10)).all()
    assert cut.lengths().sum() == pytest.approx(inside, abs=0.1)


def test_published_adjacency_is_row_and_column():
    graph = RoadGraph.from_adjacency({(1, 20): [(1, 30), (1, 20)], (1, 30): [(1, 20)], (5, 5): [(6, 6)]})
    assert graph.nodes.tolist() == [[20, 1], [30, 1], [5, 5], [6, 6]]
    assert graph.edges.tolist() == [[0, 1], [2, 3]]
    assert graph.adjacency()[(6.0, 6.0)] == [(5.0, 5.0)]
    with pytest.raises(ValueError, match=r"'x' is not a node, expected \(row, column\)"):
        RoadGraph.from_adjacency({"x": []})


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".graphml"])
def test_a_graph_in_pixels_comes_back_from_its_file(tmp_path, graph, suffix):
    if suffix == ".gpkg":
        pytest.importorskip("pyogrio")
    path = tmp_path / f"roads{suffix}"
    write_graph(path, graph, fields={"confidence": np.array([0.5, 1.0, 0.5, 0.25])})
    back = read_graph(path)
    assert segments(back) == segments(graph)
    assert len(back.nodes) == (5 if suffix == ".gpkg" else 6)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_lines_carry_their_length_and_mean_confidence(tmp_path, graph):
    write_graph(tmp_path / "a.geojson", graph, fields={"confidence": np.array([0.5, 1.0, 0.5, 0.25])})
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [feature["geometry"]["type"] for feature in features] == ["LineString"] * 3 + ["Point"]
    assert {"length": 40.0, "confidence": 0.75} in [feature["properties"] for feature in features]
    with pytest.raises(ValueError, match="field 'confidence' has the shape"):
        write_graph(tmp_path / "b.geojson", graph, fields={"confidence": np.ones(3)})
    assert not (tmp_path / "b.geojson").exists()


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_a_graph_of_a_scene_is_written_on_the_map_and_read_in_its_pixels(tmp_path, graph, suffix):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_700_000)
    path = tmp_path / f"roads{suffix}"
    write_graph(path, graph, crs="EPSG:32632", transform=transform)
    grid = ImageGrid((100, 100), rasterio.CRS.from_epsg(32632), transform)
    back = read_graph(path, grid)
    rounded = RoadGraph(np.round(back.nodes, 1), back.edges)
    assert segments(rounded) == segments(graph)
    with pytest.raises(ValueError, match="belong together"):
        write_graph(path, graph, crs="EPSG:32632")


def test_a_pickle_becomes_geojson(tmp_path):
    (tmp_path / "a.p").write_bytes(b"(dp0\n(I208\nI182\ntp1\n(lp2\n(I538\nI160\ntp3\nas.")
    graph = read_graph(tmp_path / "a.p")
    write_graph(tmp_path / "a.geojson", graph)
    assert segments(read_graph(tmp_path / "a.geojson")) == {frozenset({(182.0, 208.0), (160.0, 538.0)})}
    (tmp_path / "b.p").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"b.p was refused: it holds the name os.system"):
        read_graph(tmp_path / "b.p")


def test_networkx_keeps_nodes_and_edges(graph):
    networkx = pytest.importorskip("networkx")
    made = to_networkx(graph)
    assert made.number_of_edges() == 4 and made.edges[1, 2]["length"] == 20.0
    back = from_networkx(made)
    assert np.array_equal(back.nodes, graph.nodes) and segments(back) == segments(graph)
    with pytest.raises(ValueError, match="node 7 lacks numbers x and y"):
        other = networkx.Graph()
        other.add_node(7)
        from_networkx(other)


def collection(*geometries, **members):
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
    return json.dumps({"type": "FeatureCollection", "features": features, **members})


def line(*positions):
    return {"type": "LineString", "coordinates": positions}


def test_lines_meet_at_equal_vertices_only():
    text = collection(line([0, 5], [10, 5], [20, 5, 99]), line([10, 0], [10, 5]), line([15, 0], [15, 10]), None)
    graph = graph_of_lines(parse_lines(text, "a"), ImageGrid((30, 30)), "a")
    assert graph.nodes.tolist() == [[0, 5], [10, 5], [20, 5], [10, 0], [15, 0], [15, 10]]
    assert graph.edges.tolist() == [[0, 1], [1, 2], [3, 1], [4, 5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a: not JSON"),
        ("[]", "a: not GeoJSON"),
        (collection({"type": "Polygon", "coordinates": []}), "a, geometry 1: expected lines or points, got Polygon"),
        (collection(line([0, 1], ["x", 2])), "a, geometry 1: a LineString whose positions are not numbers"),
        (collection(line([0, 1], [2])), "a, geometry 1: a LineString"),
        (collection(line(0, 1)), "a, geometry 1: a LineString"),
        (collection(line([0, 1], [1e999, 2])), "a, geometry 1: a LineString with a position that is not two finite"),
        (collection(crs={"type": "link"}), "a: its crs names no coordinate reference system"),
    ],
)
def test_broken_geojson_names_the_file_and_the_place(text, message):
    with pytest.raises(ValueError, match=message):
        parse_lines(text, "a")


def test_lines_in_a_crs_need_an_image_with_one():
    crs = {"type": "name", "properties": {"name": "EPSG:32632"}}
    text = collection(line([400_000, 5_700_000], [400_010, 5_699_990]), crs=crs)
    with pytest.raises(ValueError, match="its lines are in EPSG:32632, but the image is not georeferenced"):
        graph_of_lines(parse_lines(text, "a"), ImageGrid((64, 64)), "a")
    rasterio = pytest.importorskip("rasterio")
    grid = ImageGrid((64, 64), rasterio.CRS.from_epsg(32632), rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_700_000))
    assert np.allclose(graph_of_lines(parse_lines(text, "a"), grid, "a").nodes, [[0, 0], [20, 20]])
    with pytest.raises(ValueError, match="is not a coordinate reference system"):
        graph_of_lines(parse_lines(text.replace("EPSG:32632", "EPSG:1"), "a"), grid, "a")


def test_unknown_and_missing_files_are_refused(tmp_path, graph):
    with pytest.raises(ValueError, match=r"road graphs are in files .geojson, .json, .gpkg, .*graphml, got roads.txt"):
        write_graph("roads.txt", graph)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_graph(tmp_path / "none.geojson")
    (tmp_path / "a.graphml").write_text("<graphml")
    with pytest.raises(ValueError, match="is not a GraphML file"):
        read_graph(tmp_path / "a.graphml")
