"""The road graph of an image that fits in memory, as validation draws it; scenes have `s5_hf.scenes`."""

from dataclasses import dataclass

import numpy as np
import torch

from ...dataset_builders.road_graph import RoadGraph
from ...modeling import SamRoadForRoadGraph
from ...modeling.modeling_samroad import KEYPOINT, ROAD
from ...predictors.processor_kernels import processor_kernels
from ...roads.pair_votes import PairVotes, neighbor_pairs, points_in_window
from ...roads.road_nodes import NodeSettings, road_nodes


@dataclass(frozen=True)
class WindowSight:
    """What a network sees of an image through overlapping windows.

    Attributes:
        side: of the windows in pixels.
        places: left and top of each.
        features, probabilities: of each, as the network gave them.
        scores: the probabilities averaged over the windows, float32 `(2, height, width)`: keypoints, roads.
    """

    side: int
    places: list[tuple[int, int]]
    features: list[torch.Tensor]
    probabilities: list[torch.Tensor]
    scores: np.ndarray


@dataclass(frozen=True)
class TracedImage:
    """What a network draws.

    Attributes:
        graph: of the roads.
        scores: of keypoints and roads, float32 `(2, height, width)`, 0..1.
    """

    graph: RoadGraph
    scores: np.ndarray


def trace_image(model: SamRoadForRoadGraph, pixel_values: torch.Tensor, window: int) -> TracedImage:
    """Draw the graph of one image.

    Windows overlap by half; their scores are averaged, and the connections of their points, too.

    Args:
        model: in eval mode.
        pixel_values: normalised `(channels, height, width)` on its device.
        window: side of the windows in pixels.
    """
    sight = look(model, pixel_values, window)
    return TracedImage(draw(model, sight), sight.scores)


@torch.no_grad()
def look(model: SamRoadForRoadGraph, pixel_values: torch.Tensor, window: int) -> WindowSight:
    """See an image; arguments as `trace_image`."""
    height, width = pixel_values.shape[1:]
    missing = [max(0, window - side) for side in (height, width)]
    padded = torch.nn.functional.pad(pixel_values, (0, missing[1], 0, missing[0]))
    tops, lefts = (window_starts(side, window) for side in padded.shape[1:])
    places = [(left, top) for top in tops for left in lefts]
    total, counts = torch.zeros(2, *padded.shape[1:]), torch.zeros(padded.shape[1:])
    features, probabilities = [], []
    for left, top in places:
        with processor_kernels(pixel_values.device):
            output = model(padded[None, :, top : top + window, left : left + window])
        features.append(output.features)
        probabilities.append(output.probabilities)
        total[:, top : top + window, left : left + window] += output.probabilities[0].cpu()
        counts[top : top + window, left : left + window] += 1
    return WindowSight(window, places, features, probabilities, (total / counts)[:, :height, :width].numpy())


def draw(model: SamRoadForRoadGraph, sight: WindowSight) -> RoadGraph:
    """The graph of what was seen, with the thresholds and distances of the network's configuration."""
    config = model.config
    settings = NodeSettings(
        config.keypoint_threshold, config.road_threshold, config.keypoint_spacing, config.road_spacing
    )
    levels = (sight.scores * 255).astype(np.uint8)
    points = road_nodes(levels[KEYPOINT], levels[ROAD], settings).points
    votes = PairVotes(config.topology_threshold)
    for (left, top), features, probabilities in zip(sight.places, sight.features, sight.probabilities, strict=True):
        numbers = points_in_window(points, (left, top, left + sight.side, top + sight.side))
        neighbours, valid = neighbor_pairs(points[numbers], config.max_neighbors, config.neighbor_radius)
        if not valid.any():
            continue
        sources = np.broadcast_to(np.arange(len(numbers))[:, None], neighbours.shape)
        pairs = torch.from_numpy(np.stack([sources, neighbours], axis=-1)).to(features.device)
        at = torch.from_numpy(points[numbers] - (left, top)).float().to(features.device)
        asked = torch.from_numpy(valid).to(features.device)
        found = model.predict_connections(features, probabilities, at[None], pairs[None], asked[None])[0].cpu().numpy()
        votes.add(np.stack([numbers[sources[valid]], numbers[neighbours[valid]]], axis=1), found[valid])
    edges, _ = votes.take_edges()
    return RoadGraph(points, edges)


def window_starts(side: int, window: int) -> list[int]:
    """Where windows that overlap by half, or more, begin along a side; the last one ends with it."""
    count = max(1, -(-2 * (side - window) // window) + 1)
    return np.linspace(0, side - window, count).round().astype(int).tolist()
