"""APLS and TOPO against the programs of SAM-Road, run unchanged, and a second implementation of the same rules."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from s5_hf.metrics import CITY_SCALE_APLS, SPACENET_APLS, compare_paths, compare_walks
from s5_hf.roads import RoadGraph

FIXTURE = json.loads((Path(__file__).parent / "roads" / "metrics.json").read_text())
PAIRS = {f"{pair['name']}-{pair['parameters']}": pair for pair in FIXTURE["pairs"]}


def graphs(pair):
    for part in ("ground_truth", "prediction"):
        yield RoadGraph.from_adjacency([(tuple(node), list(map(tuple, around))) for node, around in pair[part]])


@pytest.mark.parametrize("name", PAIRS)
def test_apls(name):
    pair = PAIRS[name]
    settings = CITY_SCALE_APLS if pair["parameters"] == "city" else SPACENET_APLS
    counts = compare_paths(*graphs(pair), replace(settings, released=True))
    found = [counts.forward, counts.backward, counts.score]
    assert found == pytest.approx(pair["apls_own"], abs=3e-5)
    # The released programs visit places in random order; ours is one of the values that they gave.
    assert min(abs(counts.score - value) for value in pair["apls_official"]) < 3e-5


@pytest.mark.parametrize("name", PAIRS)
def test_topo(name):
    pair = PAIRS[name]
    counts = compare_walks(*graphs(pair), small=True if pair["parameters"] == "small" else None)
    assert (counts.starts, counts.kept) == (pair["topo_starting_points"], pair["topo_points_kept"])
    official = [pair[f"topo_official_{score}"] for score in ("precision", "recall", "f1")]
    assert [counts.precision, counts.recall, counts.f1] == pytest.approx(official, abs=0.002)
    assert [counts.precision, counts.recall, counts.f1] == pytest.approx(pair["topo_own"], abs=0.002)
