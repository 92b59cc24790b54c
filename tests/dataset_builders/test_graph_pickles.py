"""Pickled graphs: what Python writes is read, and nothing that a file asks for is ever run."""

import os
import pickle
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.dataset_builders import graph_pickles
from s5_hf.dataset_builders.errors import SampleError
from s5_hf.dataset_builders.graph_pickles import parse_pickled_graph, unpickle_graph

GRAPH = {(1, 2): [(3, 4), (-5, 600)], (3, 4): [(1, 2)], (-5, 600): [(1, 2)], (2**40, 0.25): []}
NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.booleans())
NODES = st.tuples(NUMBERS, NUMBERS)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read(protocol):
    assert unpickle_graph(pickle.dumps(GRAPH, protocol), "a.p") == GRAPH


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NODES, st.lists(NODES, max_size=4), max_size=6), st.integers(0, 5))
def test_reads_what_python_writes(graph, protocol):
    assert unpickle_graph(pickle.dumps(graph, protocol), "a.p") == graph


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [np.int16, np.int64, np.uint8, np.float32, np.float64, ">i4"])
def test_numbers_of_numpy_become_plain_ones(kind, protocol):
    values = np.array([7, 120], dtype=kind)
    content = pickle.dumps({tuple(values): [(values[1], values[0])]}, protocol)
    found = unpickle_graph(content, "a.p")
    assert found == {(7, 120): [(120, 7)]}
    assert all(type(number) in (int, float) for node in found for number in node)
    if protocol == 2:
        assert unpickle_graph(content.replace(b"numpy._core", b"numpy.core"), "a.p") == found


def test_files_of_python_2():
    text = b"(dp0\n(I208\nI182\ntp1\n(lp2\n(I538\nI160\ntp3\nas(L3L\nF0.5\ntp4\n(lp5\ns."
    assert unpickle_graph(text, "a.p") == {(208, 182): [(538, 160)], (3, 0.5): []}
    scalar = (
        b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbS'%s'\ntR"
    )
    high = scalar % b"\\xd0\\x07\\x00\\x00\\x00\\x00\\x00\\x00"
    assert unpickle_graph(b"(d(" + high + high + b"t(ls.", "a.p") == {(2000, 2000): []}


class Command:
    """What a malicious file holds: reading it with Python's reader makes a file."""

    def __init__(self, path, function=os.system):
        self.path, self.function = path, function

    def __reduce__(self):
        return self.function, (f"touch {self.path}",)


class State:
    def __setstate__(self, state):
        raise AssertionError("was run")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, subprocess.getoutput, os.popen])
@pytest.mark.parametrize("place", [lambda bad: bad, lambda bad: {(1, bad): []}, lambda bad: {(1, 2): [bad]}])
def test_nothing_is_run(tmp_path, protocol, function, place):
    content = pickle.dumps(place(Command(tmp_path / "made", function)), protocol)
    with pytest.raises(SampleError, match=r"^a.p was refused: it holds the name .*other pickles can run programs$"):
        unpickle_graph(content, "a.p")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x02\x82\x01.",  # EXT1, a name by number
        b"\x80\x02cbuiltins\nobject\n)\x81.",  # NEWOBJ
        b"Psome id\n.",  # a persistent id
        b"cnumpy\nload\n.",
        b"cnumpy\ndtype\n(S'O8'\ntR.",  # objects of numpy
        b"cnumpy\ndtype\ncnumpy\ndtype\nR.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",  # a bytearray that would not fit any memory
        b"\x80\x04\x8f.",  # a set
        pickle.dumps(State()),
    ],
)
def test_whatever_could_call_or_import_is_refused(content):
    with pytest.raises(SampleError, match=r"^a.p was refused"):
        unpickle_graph(content, "a.p")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "holds a list, expected a dictionary"),
        ({1: []}, r"1 is not a node, expected \(row, column\)"),
        ({(1, 2, 3): []}, ".* is not a node"),
        ({(1, "a"): []}, ".* is not a node"),
        ({(1, 2): 3}, "the neighbours of a node are int"),
        ({(1, 2): [(1, None)]}, r"\(1, None\) is not a node"),
        ({(1, 2): [[1, 2]]}, ".* is not a node"),
    ],
)
def test_other_values_are_no_graphs(value, message):
    with pytest.raises(SampleError, match=rf"^a.p: {message}"):
        unpickle_graph(pickle.dumps(value), "a.p")


def test_sizes_are_bounded(monkeypatch):
    shared = [(1, 2)] * 1000
    content = pickle.dumps({(row, 0): shared for row in range(1000)})
    assert len(content) < 50_000
    monkeypatch.setattr(graph_pickles, "MAXIMUM_ENTRIES", 10_000)
    with pytest.raises(SampleError, match="more than 10,000 nodes and neighbours"):
        unpickle_graph(content, "a.p")
    laughs = (1, 2)
    for _ in range(60):
        laughs = (laughs, laughs)
    with pytest.raises(SampleError, match=r"is not a node"):
        unpickle_graph(b"}" + pickle.dumps(laughs, 1)[:-1] + b"]s.", "a.p")
    # A memo of four billion places takes no memory, and one that was never filled is an error.
    assert unpickle_graph(b"}r\xff\xff\xff\xff.", "a.p") == {}
    with pytest.raises(SampleError, match="not a pickled road graph"):
        unpickle_graph(b"j\xff\xff\xff\xff.", "a.p")
    monkeypatch.setattr(graph_pickles, "MAXIMUM_BYTES", 100)
    with pytest.raises(SampleError, match="bytes, expected a road graph of at most 100"):
        unpickle_graph(content, "a.p")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_give_a_graph_or_one_kind_of_error(data):
    content = bytearray(pickle.dumps(GRAPH, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert isinstance(unpickle_graph(content, "a.p"), dict)
    except SampleError as error:
        assert str(error).startswith("a.p")


def test_a_pickled_graph_is_a_road_graph_in_x_and_y():
    graph = parse_pickled_graph(pickle.dumps({(1, 2): [(3, 4), (1, 2)], (3, 4): [(1, 2)]}), "a.p")
    assert graph.nodes.tolist() == [[2, 1], [4, 3]] and graph.edges.tolist() == [[0, 1]]
    with pytest.raises(SampleError, match=r"a.p: the node \(nan, 0.0\) has no place"):
        parse_pickled_graph(pickle.dumps({(float("nan"), 0): []}), "a.p")
