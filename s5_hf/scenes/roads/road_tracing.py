"""The roads of a scene as one graph, window by window, in memory that does not grow with the scene's height.

Scores of windows are blended into rows, from whose finished ones nodes are found. As soon as all nodes of a window
are known, the network says which of them are connected, from what it has seen there; windows vote. So each window is
seen by the network once, and nothing depends on where windows begin except the votes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...predictors.image_probabilities import finite_images, require_finite
from ...predictors.interfaces import SceneRoadNetwork
from ...predictors.normalization import normalize_pixels
from ...roads.pair_votes import PairVotes, neighbor_pairs, points_in_window
from ...roads.road_nodes import NodeFinder, Nodes
from ..blended_rows import BlendedRows, FinishedRows, ValidRows
from ..source import SceneSource
from ..window_batches import NewRows, WindowBatch, prefetch, window_batches
from .road_journal import RoadJournal
from .road_settings import RoadSettings, road_grid
from .window_spool import SeenWindow, WindowSpool

__all__ = ["RoadTracer", "SceneRoads"]

_REPLAYED_ROWS = 256


@dataclass(frozen=True)
class SceneRoads:
    """The graph of a scene.

    Attributes:
        nodes: int64 `(n, 2)`, x and y in pixels of the scene, from top to bottom.
        node_scores: float32 `(n,)`, 0..1.
        is_keypoint: bool `(n,)`: crossings and ends, not points along a road.
        edges: int64 `(m, 2)`, numbers of nodes, the smaller one first, rising.
        edge_scores: float32 `(m,)`, the mean vote of the windows, 0..1.
    """

    nodes: np.ndarray
    node_scores: np.ndarray
    is_keypoint: np.ndarray
    edges: np.ndarray
    edge_scores: np.ndarray


class RoadTracer:
    """Traces the roads of one scene.

    Args:
        scene: read from top to bottom.
        network: finds nodes and connections.
        settings: windows and thresholds.
        spool: where windows wait.
        journal: keeps what is finished; what it already holds is not done again.
        on_windows: takes the number of windows that the network has seen, at the start and after every batch.
    """

    def __init__(
        self,
        scene: SceneSource,
        network: SceneRoadNetwork,
        settings: RoadSettings,
        spool: WindowSpool,
        journal: RoadJournal,
        on_windows: Callable[[int], None] = lambda done: None,
    ) -> None:
        self._scene, self._network, self._settings = scene, network, settings
        self._spool, self._journal, self._on_windows = spool, journal, on_windows
        self._grid = road_grid(scene.height, scene.width, settings)
        self._finder = NodeFinder(scene.width, settings.nodes)
        self._votes = PairVotes(settings.topology_threshold)
        self._valid = ValidRows(scene.width)
        self._points = np.zeros((0, 2), dtype=np.int64)
        self._scores, self._is_keypoint = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        self._active = np.zeros(0, dtype=np.int64)  # nodes that windows to come may hold
        self._rows = BlendedRows(
            self._grid,
            (scene.height, scene.width),
            2,
            settings.blending,
            network.device,
            journal.rows_done,
            journal.restart_window,
        )

    def trace(self) -> SceneRoads:
        """The graph.

        Raises:
            NonFiniteOutputError: the network gives NaN or infinity; names the window.
            OSError: the scene cannot be read, or the disk is full.
        """
        self._replay()
        self._on_windows(self._journal.restart_window)
        batches = window_batches(
            self._scene,
            self._grid,
            self._settings.batch_size,
            len(self._network.image_mean),
            self._journal.restart_window,
            self._note_rows,
        )
        for batch in prefetch(batches):
            scores = self._look(batch)
            for rows in self._rows.add(batch, scores):
                self._find_nodes(rows)
            self._vote(self._finder.settled, batch.last + 1)
            self._on_windows(batch.last + 1)
        nothing = np.zeros((0, self._scene.width), dtype=np.uint8)
        self._take(self._finder.add(nothing, nothing, is_last=True))
        self._vote(math.inf, len(self._grid))
        return self._graph()

    def _note_rows(self, rows: NewRows) -> None:
        self._rows.note_rows(rows)
        self._valid.append(rows)

    def _replay(self) -> None:
        """Take up what an earlier run has finished."""
        journal = self._journal
        for top in range(0, journal.rows_done, _REPLAYED_ROWS):
            keypoint, road = journal.read_rows(top, min(top + _REPLAYED_ROWS, journal.rows_done))
            self._take(self._finder.add(keypoint, road))
        pairs, sums, windows = journal.pending_votes
        self._votes.add(self._numbers(pairs), sums, windows)
        if journal.windows_done:
            self._release_nodes(journal.windows_done)

    @torch.inference_mode()
    def _look(self, batch: WindowBatch) -> torch.Tensor:
        """The scores of a batch; its windows wait for their nodes."""
        if not batch.indices:
            return torch.zeros(0)
        network = self._network
        scores, features = network.look(normalize_pixels(batch.pixels, network))
        finite = finite_images(scores) & finite_images(features)
        require_finite(finite, lambda index: self._grid.describe(batch.indices[index], self._scene.name))
        for place, index in enumerate(batch.indices):
            if index >= self._journal.windows_done:
                seen = SeenWindow(index, batch.indices[0], scores[place], features[place], self._valid_pixels(index))
                self._spool.put(seen)
        return scores

    def _valid_pixels(self, index: int) -> np.ndarray | None:
        window = self._grid[index]
        valid = self._valid.read(window.top, min(window.bottom, self._scene.height))
        return None if valid is None else valid[:, window.left : window.right]

    def _find_nodes(self, rows: FinishedRows) -> None:
        scores = (rows.probabilities.clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
        if rows.valid is not None:
            scores[:, ~rows.valid] = 0
        self._journal.add_rows(rows.top, scores)
        self._take(self._finder.add(scores[0], scores[1]))

    def _take(self, nodes: Nodes) -> None:
        count = len(self._points)
        self._active = np.concatenate([self._active, np.arange(count, count + len(nodes.points))])
        self._points = np.concatenate([self._points, nodes.points])
        self._scores = np.concatenate([self._scores, nodes.scores])
        self._is_keypoint = np.concatenate([self._is_keypoint, nodes.is_keypoint])

    def _vote(self, settled: float, seen: int) -> None:
        """Let the windows vote all of whose nodes are known: those in rows above `settled`.

        Args:
            settled: all nodes above this row are known.
            seen: number of the window up to which (exclusive) the network has seen the grid.
        """
        done = None
        while (first := self._spool.first) is not None and self._grid[first[0]].bottom < settled:
            self._ask(self._spool.take())
            done = first[0] + 1
        if done is None:
            return
        following = self._spool.first
        done, restart = (seen, seen) if following is None else following
        self._release_nodes(done)
        self._valid.forget_above(self._top_of(done))
        pairs, sums, windows = self._votes.sums()
        self._journal.save(done, restart, self._points[pairs], sums, windows)

    def _top_of(self, window: int) -> int:
        """The first row that windows from this one on hold."""
        return self._grid[window].top if window < len(self._grid) else self._scene.height

    def _release_nodes(self, windows_done: int) -> None:
        """Take the edges of nodes that no window holds any more."""
        top = self._top_of(windows_done)
        self._active = self._active[self._points[self._active, 1] >= top]
        edges, scores = self._votes.take_edges(self._points[:, 1] < top)
        self._journal.add_edges(self._points[edges], scores)

    @torch.inference_mode()
    def _ask(self, seen: SeenWindow) -> None:
        """Add the votes of a window."""
        window, settings, device = self._grid[seen.index], self._settings, self._network.device
        inside = self._active[points_in_window(self._points[self._active], window)]
        # In the order of rows, so that it does not matter when each node was found.
        inside = inside[np.lexsort(self._points[inside].T)]
        points = self._points[inside] - [window.left, window.top]
        neighbours, valid = neighbor_pairs(points, settings.max_neighbors, settings.neighbor_radius)
        if seen.valid is not None:
            valid &= ~_crosses_no_data(seen.valid, points, neighbours)
        if not valid.any():
            return
        scores = self._network.connect(
            seen.scores.to(device),
            seen.features.to(device),
            torch.from_numpy(points).float().to(device),
            torch.from_numpy(neighbours).to(device),
            torch.from_numpy(valid).to(device),
        )
        scores = scores.float().cpu().numpy()
        asked = torch.from_numpy(np.where(valid, scores, 0.0)).isfinite().all().reshape(1)
        require_finite(asked, lambda _: self._grid.describe(seen.index, self._scene.name))
        source, place = np.nonzero(valid)
        pairs = np.stack([inside[source], inside[neighbours[source, place]]], axis=1)
        self._votes.add(pairs, scores[source, place])

    def _numbers(self, points: np.ndarray) -> np.ndarray:
        """Numbers of nodes, int64 `(...)`, from their places `(..., 2)`."""
        keys = self._points[:, 1] * self._scene.width + self._points[:, 0]
        order = np.argsort(keys)
        wanted = points[..., 1] * self._scene.width + points[..., 0]
        return order[np.searchsorted(keys, wanted, sorter=order)] if wanted.size else wanted

    def _graph(self) -> SceneRoads:
        """Everything, in an order that does not depend on when it was found."""
        ends, edge_scores = self._journal.read_edges()
        order = np.lexsort(self._points.T)
        self._points, self._active = self._points[order], np.zeros(0, dtype=np.int64)
        edges = np.sort(self._numbers(ends).reshape(-1, 2), axis=1)
        rising = np.lexsort(edges.T[::-1])
        return SceneRoads(
            self._points,
            (self._scores[order] / 255).astype(np.float32),
            self._is_keypoint[order],
            edges[rising],
            edge_scores[rising],
        )


def _crosses_no_data(valid: np.ndarray, points: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Whether the straight line from a point to a neighbour leaves the pixels that hold data, bool `(n, count)`."""
    starts, ends = points[:, None], points[neighbours]
    longest = int(np.abs(ends - starts).max(initial=0))
    crosses = np.zeros(neighbours.shape, dtype=bool)
    for share in np.linspace(0, 1, 2 * longest + 1):
        places = np.rint(starts + (ends - starts) * share).astype(np.int64)
        column = places[..., 0].clip(0, valid.shape[1] - 1)
        row = places[..., 1].clip(0, valid.shape[0] - 1)
        crosses |= ~valid[row, column]
    return crosses
