"""Validation of a road network: its maps, the connections of sampled pairs, and the graphs that it draws."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image, ImageDraw
from tqdm import tqdm

from ...dataset_builders.road_graph import RoadGraph
from ...imaging.decoded_pixels import image_pixels
from ...imaging.sheets import contact_sheet
from ...modeling import SamRoadForRoadGraph
from ...roads.labels import road_rasters
from ...semi_supervised.pseudo_labels import evaluating
from ..panels import write_panel
from ..views.strong import normalize, to_unit_range
from .tracing import TracedImage, look, trace_image
from .view import RoadView, graph_of

SCORED = ("keypoints", "roads", "topology")
FIXED_SEED = 0
"""Of the pairs that are compared: the same in every validation of every run."""

LEVELS = 256
"""Of scores, as nodes are decided."""

TRUTH, FOUND, NODE = (60, 220, 90), (255, 140, 0), (255, 255, 0)


@dataclass(frozen=True)
class RoadValidation:
    """How to validate.

    Attributes:
        view: of the run; pairs are sampled as it samples them.
        mean, std: of the channels, for images in 0..1.
        panel_images: images in the picture.
    """

    view: RoadView
    mean: Sequence[float]
    std: Sequence[float]
    panel_images: int = 4


@torch.no_grad()
def validate_roads(
    model: SamRoadForRoadGraph,
    samples: Sequence[Any],
    settings: RoadValidation,
    accelerator: Accelerator,
    panel_path: Path | None = None,
) -> dict[str, float]:
    """Draw the graphs of whole images, and compare.

    The images are shared among the processes, and every image counts once. A picture of the first images is written
    to `panel_path`: the graph of the labels, the scores of roads, the graph of the network.

    Returns:
        In percent, `f1/keypoints` and `f1/roads` of the pixels above the thresholds of the configuration, and
        `f1/topology` of the pairs of a sampled crop of every image.
    """
    counts = torch.zeros(len(SCORED), 3, dtype=torch.float64, device=accelerator.device)  # right, found, true
    tiles: list[Image.Image] = []
    with evaluating(model):
        own = range(accelerator.process_index, len(samples), accelerator.num_processes)
        for index in tqdm(own, "validation", disable=not accelerator.is_main_process, leave=False):
            sample = {"id": str(index), **samples[index]}
            pixels = image_pixels(sample["image"], settings.view.scaling)
            height, width = pixels.shape[:2]
            graph = graph_of(sample, (width, height))
            with accelerator.autocast():
                traced = trace_image(model, prepared(pixels, settings, accelerator), settings.view.crop_size)
                counts[2] += compare_pairs(model, sample, settings, accelerator)
            counts[:2] += compare_maps(model, traced, graph)
            if accelerator.is_main_process and len(tiles) < 3 * settings.panel_images:
                tiles += panel_tiles(pixels, graph, traced)
    counts = accelerator.reduce(counts, "sum").cpu()
    if tiles and panel_path is not None:
        write_panel(panel_path, contact_sheet(tiles, ["labels", "road scores", "drawn"] * (len(tiles) // 3)))
    return {f"f1/{name}": f1(row) for name, row in zip(SCORED, counts.tolist(), strict=True)}


def prepared(pixels: np.ndarray, settings: RoadValidation, accelerator: Accelerator) -> torch.Tensor:
    """A uint8 image `(height, width, channels)` as the network takes it, without the batch dimension."""
    images = to_unit_range(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(accelerator.device))
    return normalize(images, settings.mean, settings.std)[0]


def f1(counts: Sequence[float]) -> float:
    """F1 in percent of the numbers of what is right, found and true; NaN where nothing is found and nothing true."""
    right, found, true = counts
    return 200 * right / (found + true) if found + true else float("nan")


def compare_maps(model: SamRoadForRoadGraph, traced: TracedImage, graph: RoadGraph) -> torch.Tensor:
    """Right, found and true pixels of keypoints and of roads, `(2, 3)`."""
    height, width = traced.scores.shape[1:]
    truth = road_rasters(graph, (0, 0, width, height))
    thresholds = np.array([model.config.keypoint_threshold, model.config.road_threshold])
    found = traced.scores > thresholds[:, None, None]
    sums = [part.sum(axis=(1, 2)) for part in (found & truth, found, truth)]
    return torch.from_numpy(np.stack(sums, axis=1)).to(model.device, torch.float64)


def compare_pairs(
    model: SamRoadForRoadGraph, sample: dict[str, Any], settings: RoadValidation, accelerator: Accelerator
) -> torch.Tensor:
    """Right, found and true connections among the pairs of a random crop that is always the same, `(3,)`."""
    scores, connected = score_pairs(model, sample, settings, accelerator)
    found = scores > model.config.topology_threshold
    return torch.stack([part.sum() for part in (found & connected, found, connected)]).to(torch.float64)


def score_pairs(
    model: SamRoadForRoadGraph, sample: dict[str, Any], settings: RoadValidation, accelerator: Accelerator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of the pairs of a random crop that is always the same, and whether a road connects them, flat."""
    view = dataclasses.replace(settings.view, seed=FIXED_SEED, quarter_turns=False, scale_range=(1.0, 1.0))
    row = {name: value[None].to(accelerator.device) for name, value in view(sample, 0).items()}
    output = model(normalize(to_unit_range(row["image"]), settings.mean, settings.std))
    scores = model.predict_connections(
        output.features, output.probabilities, row["points"], row["pairs"], row["valid"]
    )
    return scores[row["valid"]], row["connected"][row["valid"]]


@torch.no_grad()
def choose_thresholds(
    model: SamRoadForRoadGraph, samples: Sequence[Any], settings: RoadValidation, accelerator: Accelerator
) -> dict[str, float]:
    """The thresholds with the highest F1 on images, which should be some that the network learns from.

    The official thresholds were chosen on the images whose results are reported.

    Returns:
        `keypoint_threshold`, `road_threshold` and `topology_threshold`, multiples of 1 / 255; 0.5 where nothing is
        true.
    """
    counts = np.zeros((len(SCORED), 2, LEVELS))  # of all and of true ones, by level
    with evaluating(model), accelerator.autocast():
        for index, entry in enumerate(samples):
            sample = {"id": str(index), **entry}
            pixels = image_pixels(sample["image"], settings.view.scaling)
            height, width = pixels.shape[:2]
            truth = road_rasters(graph_of(sample, (width, height)), (0, 0, width, height))
            sight = look(model, prepared(pixels, settings, accelerator), settings.view.crop_size)
            scores, connected = score_pairs(model, sample, settings, accelerator)
            scored = [*zip(sight.scores, truth, strict=True), (scores.cpu().numpy(), connected.cpu().numpy())]
            for row, (values, true) in enumerate(scored):
                levels = (values * (LEVELS - 1)).astype(np.int64)
                counts[row, 0] += np.bincount(levels.ravel(), minlength=LEVELS)
                counts[row, 1] += np.bincount(levels[true], minlength=LEVELS)
    chosen = [best_threshold(found, true) for found, true in counts]
    return dict(zip(("keypoint_threshold", "road_threshold", "topology_threshold"), chosen, strict=True))


def best_threshold(found: np.ndarray, true: np.ndarray) -> float:
    """The threshold, exclusive, with the highest F1.

    Args:
        found, true: numbers of all scores and of those of what is true, by level, 0 to 255.
    """
    if not true.sum():
        return 0.5
    above = (np.cumsum(counts[::-1])[::-1][1:] for counts in (found, true))  # at level k: all that are above it
    all_above, true_above = above
    return float(np.argmax(2 * true_above / np.maximum(all_above + true.sum(), 1))) / (LEVELS - 1)


def panel_tiles(pixels: np.ndarray, truth: RoadGraph, traced: TracedImage) -> list[Image.Image]:
    """The image with the graph of the labels, the scores of roads, and the image with the graph that was drawn."""
    shown = pixels[:, :, [0, 1, 2] if pixels.shape[2] >= 3 else [0, 0, 0]]
    scores = Image.fromarray((traced.scores[1] * 255).astype(np.uint8)).convert("RGB")
    return [draw_graph(shown, truth, TRUTH), scores, draw_graph(shown, traced.graph, FOUND)]


def draw_graph(pixels: np.ndarray, graph: RoadGraph, color: tuple[int, int, int]) -> Image.Image:
    """An RGB image with the lines and nodes of a graph."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(image)
    for line in graph.nodes[graph.edges]:
        draw.line([tuple(point) for point in line.tolist()], fill=color, width=2)
    for x, y in graph.nodes.tolist():
        draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=NODE)
    return image
