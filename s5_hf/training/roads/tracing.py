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
class TracedImage:
    """What a network draws.

    Attributes:
        graph: of the roads.
        scores: of keypoints and roads, float32 `(2, height, width)`, 0..1.
    """

    graph: RoadGraph
    scores: np.ndarray


@torch.no_grad()
def trace_image(model: SamRoadForRoadGraph, pixel_values: torch.Tensor, window: int) -> TracedImage:
    """Draw the graph of one image.

    Windows overlap by half; their scores are averaged, and the connections of their points, too.

    Args:
        model: in eval mode.
        pixel_values: normalised `(channels, height, width)` on its device.
        window: side of the windows in pixels.
    """
    height, width = pixel_values.shape[1:]
    missing = [max(0, window - side) for side in (height, width)]
    padded = torch.nn.functional.pad(pixel_values, (0, missing[1], 0, missing[0]))
    places = [
        (left, top)
        for top in window_starts(padded.shape[1], window)
        for left in window_starts(padded.shape[2], window)
    ]
    total, counts = torch.zeros(2, *padded.shape[1:]), torch.zeros(padded.shape[1:])
    seen = []
    for left, top in places:
        with processor_kernels(pixel_values.device):
            output = model(padded[None, :, top : top + window, left : left + window])
        seen.append((output.features, output.probabilities))
        total[:, top : top + window, left : left + window] += output.probabilities[0].cpu()
        counts[top : top + window, left : left + window] += 1
    scores = (total / counts)[:, :height, :width].numpy()
    config = model.config
    thresholds = NodeSettings(
        config.keypoint_threshold, config.road_threshold, config.keypoint_spacing, config.road_spacing
    )
    levels = (scores * 255).astype(np.uint8)
    points = road_nodes(levels[KEYPOINT], levels[ROAD], thresholds).points
    votes = PairVotes(config.topology_threshold)
    for (left, top), (features, probabilities) in zip(places, seen, strict=True):
        numbers = points_in_window(points, (left, top, left + window, top + window))
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
    return TracedImage(RoadGraph(points, edges), scores)


def window_starts(side: int, window: int) -> list[int]:
    """Where windows that overlap by half, or more, begin along a side; the last one ends with it."""
    count = max(1, -(-2 * (side - window) // window) + 1)
    return np.linspace(0, side - window, count).round().astype(int).tolist()
