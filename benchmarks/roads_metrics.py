"""Time to score road graphs, against plain networkx on the same places.

    python benchmarks/roads.py metrics
    python benchmarks/roads.py metrics --edges 10000 --small-edges 600

The reference is a town of crooked streets; the prediction has every node moved by up to 3 m and every twentieth edge
missing. networkx walks from every place to all nodes of the graph of 2 m hops; both count the same
penalties. One process on one thread; seconds are those of the processor.
"""

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import print_head, print_row, processor_in_words
from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.metrics.apls import AplsSettings, compare_paths, control_points, snapped
from s5_hf.metrics.road_counts import junction_counts, road_pixel_counts
from s5_hf.metrics.road_hops import RoadHops
from s5_hf.metrics.topo import compare_walks

BLOCK, PARTS = 120.0, 6  # metres from crossing to crossing, and edges between them
ANYWHERE = AplsSettings(tile=None, margin=0.0)


def town(edges: int, seed: int = 0) -> tuple[RoadGraph, RoadGraph]:
    """A reference of at least so many edges, and its prediction."""
    random = np.random.default_rng(seed)
    side = next(side for side in itertools.count(2) if 2 * side * (side - 1) * PARTS >= edges)
    crossings = [(BLOCK * column, BLOCK * row) for row in range(side) for column in range(side)]
    nodes, pairs = list(crossings), []
    for index in range(side * side):
        for other in [index + 1] * ((index + 1) % side > 0) + [index + side] * (index + side < side * side):
            inner = list(range(len(nodes), len(nodes) + PARTS - 1))
            shares = np.arange(1, PARTS)[:, None] / PARTS
            begin, end = np.array(crossings[index]), np.array(crossings[other])
            nodes.extend(map(tuple, begin + shares * (end - begin) + random.uniform(-4, 4, (PARTS - 1, 2))))
            pairs.extend(itertools.pairwise([index, *inner, other]))
    reference = RoadGraph(np.array(nodes) + 100, pairs)
    moved = reference.nodes + random.uniform(-3, 3, reference.nodes.shape)
    return reference, RoadGraph(moved, reference.edges[random.random(len(pairs)) > 0.05])


def networkx_penalties(ours: RoadHops, theirs: RoadHops) -> tuple[float, int]:
    """Penalties and pairs of one direction, with networkx in place of the chains of the package."""
    import networkx

    places = control_points(ours, theirs, ANYWHERE)
    partners = snapped(ours, theirs, places, ANYWHERE.taken_hops)
    lengths = []
    for hops, nodes in ((ours, places), (theirs, [node for node in partners if node >= 0])):
        graph = networkx.Graph()
        graph.add_weighted_edges_from(zip(*hops.edges.T.tolist(), hops.lengths.tolist(), strict=True))
        lengths.append({node: networkx.single_source_dijkstra_path_length(graph, node) for node in nodes})
    penalty, pairs = 0.0, 0
    for (a, a_there), (b, b_there) in itertools.combinations(zip(places, partners, strict=True), 2):
        if min(a_there, b_there) < 0:
            penalty, pairs = penalty + 1, pairs + 1
        elif b in lengths[0][a] and lengths[0][a][b] > 100 * ANYWHERE.shortest_path:
            wanted, found = lengths[0][a][b], lengths[1][a_there].get(b_there, 0)
            penalty, pairs = penalty + min(1, abs(wanted - found) / wanted), pairs + 1
    return penalty, pairs


def networkx_apls(reference: RoadGraph, prediction: RoadGraph) -> tuple[float, ...]:
    """Penalties and pairs of both directions."""
    truth, found = RoadHops.of(reference), RoadHops.of(prediction)
    return *networkx_penalties(truth, found), *networkx_penalties(found, truth)


def processor_seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds of the processor that a call takes, and what it gives."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `python benchmarks/roads.py metrics`."""
    parser.add_argument("--edges", type=int, default=10_000, help="edges of the large reference")
    parser.add_argument("--small-edges", type=int, default=600, help="edges of the one that networkx scores too")


def report(edges: int, small_edges: int) -> None:
    """Print the table."""
    print(f"{processor_in_words()}; seconds of one core\n")
    print_head("score", "edges", "seconds", "against networkx")
    small = town(small_edges)
    plain_seconds, plain = processor_seconds(lambda: networkx_apls(*small))
    seconds, counts = processor_seconds(lambda: compare_paths(*small, ANYWHERE))
    ours = (counts.forward_penalty, counts.forward_pairs, counts.backward_penalty, counts.backward_pairs)
    if not np.allclose(ours, plain, atol=1e-6):
        raise SystemExit(f"the scores differ: {ours} and {plain}")
    print_row("APLS, networkx", f"{len(small[0].edges):,}", f"{plain_seconds:.2f}", "1.0 x")
    print_row("APLS", f"{len(small[0].edges):,}", f"{seconds:.2f}", f"{plain_seconds / seconds:.1f} x as fast")
    large = town(edges)
    size = tuple(int(side) + 100 for side in large[0].nodes.max(axis=0))
    for name, score in (
        ("APLS", lambda: compare_paths(*large, ANYWHERE)),
        ("TOPO", lambda: compare_walks(*large)),
        ("crossings", lambda: junction_counts(*large)),
        ("road pixels", lambda: road_pixel_counts(*large, size)),
    ):
        print_row(name, f"{len(large[0].edges):,}", f"{processor_seconds(score)[0]:.2f}", "")
