"""APLS, the average path length similarity of road graphs: are the ways between places as long as they should be?

Source: Van Etten, Lindenbaum and Bacastow, SpaceNet (arXiv 1807.01232), section 4, in the form of the programs that
road papers publish numbers with (RoadTracer, Sat2Graph, SAM-Road), for tiles of City-Scale and of SpaceNet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dataset_builders.road_graph import RoadGraph
from .road_hops import METRES_PER_DEGREE, ORIGIN, RoadHops, degrees_of, metres_between, nodes_within
from .sums import Sums

__all__ = ["CITY_SCALE_APLS", "SPACENET_APLS", "AplsCounts", "AplsSettings", "compare_paths"]

_COVERED_HOPS = 4
_NEAREST = 10
_SNAP_METRES = 10.0
_BOX = 1e-6  # half the side of what stands for a node, in degrees
_CELL_METRES = 2
_MAXIMUM_ENTRIES = 1 << 22  # of a block of distances


@dataclass(frozen=True)
class AplsSettings:
    """Which places are compared.

    Attributes:
        tile: (width, height) in metres; `None` takes nodes wherever they are.
        margin: places no farther than this from the border of the tile are left out, in metres.
        long_chain: chains of more nodes than this get places between their ends.
        chain_step: nodes from one of these to the next.
        shortest_path: shorter ways are not compared, in metres.
        taken_hops: a place of the other graph also takes the nodes so many hops around it.
        released: covers nodes as the released programs do, which look up neighbours in the wrong graph.
    """

    tile: tuple[float, float] | None = (2048.0, 2048.0)
    margin: float = 100.0
    long_chain: int = 37
    chain_step: int = 25
    shortest_path: float = 100.0
    taken_hops: int = 4
    released: bool = False


CITY_SCALE_APLS = AplsSettings()
SPACENET_APLS = AplsSettings(
    tile=(352.0, 352.0), margin=30.0, long_chain=15, chain_step=10, shortest_path=30.0, taken_hops=3
)


@dataclass(frozen=True)
class AplsCounts(Sums):
    """Sums from which APLS follows; they add up over tiles.

    Attributes:
        forward_penalty, forward_pairs: of the places of the reference, looked for in the prediction.
        backward_penalty, backward_pairs: of the places of the prediction, looked for in the reference.
    """

    forward_penalty: float = 0.0
    forward_pairs: int = 0
    backward_penalty: float = 0.0
    backward_pairs: int = 0

    @property
    def forward(self) -> float:
        """Score of the places of the reference, 0..1; NaN where it has no two places to compare."""
        return 1 - self.forward_penalty / self.forward_pairs if self.forward_pairs else float("nan")

    @property
    def backward(self) -> float:
        """Score of the places of the prediction; 0 if it has no two places to compare."""
        # The released programs give NaN for an empty prediction, and leave such tiles out.
        return 1 - self.backward_penalty / self.backward_pairs if self.backward_pairs else 0.0

    @property
    def score(self) -> float:
        """APLS, 0..1: the mean of both directions; NaN where the reference has no two places to compare."""
        return (self.forward + self.backward) / 2


def compare_paths(
    reference: RoadGraph, prediction: RoadGraph, settings: AplsSettings = CITY_SCALE_APLS, pixel_size: float = 1.0
) -> AplsCounts:
    """Compare two graphs of one tile.

    Places are visited in the order of the graphs, so equal graphs give equal scores; the released programs go through
    them in random order.

    Args:
        reference, prediction: in pixels.
        settings: which places are compared.
        pixel_size: metres per pixel.

    Raises:
        ValueError: `pixel_size` is not above 0.
    """
    if not pixel_size > 0:
        raise ValueError(f"pixel_size must be above 0, got {pixel_size}")
    truth, found = RoadHops.of(reference, pixel_size), RoadHops.of(prediction, pixel_size)
    return AplsCounts(*_direction(truth, found, settings), *_direction(found, truth, settings))


def _direction(ours: RoadHops, theirs: RoadHops, settings: AplsSettings) -> tuple[float, int]:
    """Sum of the penalties of all pairs of places, and their number."""
    places = control_points(ours, theirs, settings)
    partners = snapped(ours, theirs, places, settings.taken_hops)
    matched = np.array([(place, other) for place, other in zip(places, partners, strict=True) if other >= 0])
    matched = matched.reshape(-1, 2).astype(np.int64)
    count = len(matched)
    pairs = (len(places) * (len(places) - 1) - count * (count - 1)) // 2
    penalty = float(pairs)  # every pair with a place that the other graph lacks
    block = max(1, _MAXIMUM_ENTRIES // max(1, count, *(len(hops.chains.junctions) for hops in (ours, theirs))))
    for begin in range(0, count, block):
        rows = slice(begin, min(begin + block, count))
        lengths, others = ours.path_lengths(matched[:, 0], rows), theirs.path_lengths(matched[:, 1], rows)
        later = np.arange(count) > np.arange(rows.start, rows.stop)[:, None]
        compared = later & (lengths > settings.shortest_path) & np.isfinite(lengths)
        lengths, others = lengths[compared], others[compared]
        others[np.isinf(others)] = 0.0  # no way at all: the whole length is missing
        penalty += float(np.minimum(1, np.abs(lengths - others) / lengths).sum())
        pairs += len(lengths)
    return penalty, pairs


def control_points(ours: RoadHops, theirs: RoadHops, settings: AplsSettings) -> list[int]:
    """Nodes of a graph whose ways are compared: crossings, ends, and some along chains, none too close to another.

    Args:
        ours: the graph.
        theirs: the other one, in which released programs look up what a place covers.
        settings: the tile and the distances.
    """
    neighbours = theirs.neighbours if settings.released else ours.neighbours
    inside = _inside(ours.places, settings)
    cells = (ours.places * METRES_PER_DEGREE / _CELL_METRES).astype(np.int64)  # towards zero, as Go's int()
    chosen: list[int] = []
    covered: set[int] = set()
    taken_cells: set[tuple[int, int]] = set()

    def choose(node: int, may_be_covered: bool) -> None:
        cell = (int(cells[node, 0]), int(cells[node, 1]))
        if inside[node] and (may_be_covered or node not in covered) and cell not in taken_cells:
            chosen.append(node)
            taken_cells.add(cell)
            covered.update(nodes_within(neighbours, node, _COVERED_HOPS))

    visited: set[int] = set()
    for node, around in enumerate(ours.neighbours):
        if len(around) == 2:
            continue
        for near in around:
            if near not in visited:
                chain = _chain_from(ours, node, near)
                visited.update(chain)
                parts = len(chain) // settings.chain_step + 1
                if len(chain) > settings.long_chain:
                    for part in range(1, parts):
                        choose(chain[len(chain) * part // parts], may_be_covered=False)
        choose(node, may_be_covered=len(around) == 1)
    return chosen


def _chain_from(hops: RoadHops, start: int, near: int) -> list[int]:
    """Nodes from a crossing or end through nodes of degree 2 to the next, with both."""
    chain = [start, near]
    while len(hops.neighbours[chain[-1]]) == 2:
        first, second = hops.neighbours[chain[-1]]
        chain.append(second if first == chain[-2] else first)
    return chain


def _inside(places: np.ndarray, settings: AplsSettings) -> np.ndarray:
    """Which places lie within the tile, farther than the margin from its border."""
    if settings.tile is None:
        return np.ones(len(places), dtype=bool)
    corners = degrees_of(np.array([[0.0, 0.0], settings.tile]))
    far = np.ones(len(places), dtype=bool)
    for axis in range(2):
        metres = METRES_PER_DEGREE * (np.cos(np.radians(ORIGIN[0])) if axis else 1.0)
        for corner in corners:
            far &= np.abs(places[:, axis] - corner[axis]) * metres > settings.margin
        low, high = sorted(corners[:, axis])
        far &= (places[:, axis] > low) & (places[:, axis] < high)
    return far


def snapped(ours: RoadHops, theirs: RoadHops, places: list[int], taken_hops: int) -> list[int]:
    """For each place the nearest node of the other graph that no earlier place took; -1 where there is none near."""
    if not len(theirs.places) or not places:
        return [-1] * len(places)
    points = ours.places[places]
    wanted = min(2 * _NEAREST, len(theirs.places))
    nearest = theirs.tree.query(points, k=wanted)[1].reshape(len(places), wanted)
    beyond = np.maximum(np.abs(theirs.places[nearest] - points[:, None]) - _BOX, 0)
    order = np.argsort((beyond**2).sum(axis=2), axis=1, kind="stable")[:, :_NEAREST]
    nearest = np.take_along_axis(nearest, order, axis=1)
    near = metres_between(points[:, None], theirs.places[nearest]) < _SNAP_METRES
    partners: list[int] = []
    taken: set[int] = set()
    for candidates, close in zip(nearest.tolist(), near.tolist(), strict=True):
        free = (node for node, is_near in zip(candidates, close, strict=True) if is_near and node not in taken)
        partner = next(free, -1)
        partners.append(partner)
        if partner >= 0:
            taken.update(nodes_within(theirs.neighbours, partner, taken_hops))
    return partners
