"""Crops of images with road graphs as rows of a batch, made in the workers, and batches of such rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...dataset_builders.road_graph import RoadGraph
from ...imaging.decoded_pixels import image_kind, image_pixels
from ...modeling.value_scaling import ValueScaling
from ...roads.labels import road_rasters
from ...roads.sampling import PairSettings, sample_pairs
from ..batches import Row, stack_rows
from ..views.weak import resize, sample_seed


def graph_of(sample: Mapping[str, Any], size: tuple[int, int]) -> RoadGraph:
    """The graph of a sample on its image of (width, height) pixels, repaired.

    Raises:
        ValueError: if the sample has no graph, or one that does not lie on its image.
    """
    name = str(sample.get("id", "a sample"))
    if sample.get("nodes") is None or sample.get("edges") is None:
        raise ValueError(f"{name} has no road graph; its columns: {', '.join(sample)}; expected nodes and edges")
    return RoadGraph.repaired(sample["nodes"], sample["edges"], name, size)


@dataclass(frozen=True)
class RoadView:
    """A random crop with its labels; can be pickled, so it runs in workers.

    Attributes:
        crop_size: side of the crops in pixels; images are filled up with 0 where they are smaller.
        pairs: how pairs of points are sampled.
        seed: of the run.
        scale_range: range of a random factor of image and graph.
        quarter_turns: whether crops are turned by a random multiple of 90 degrees.
        channels: number of channels that images must have.
        scaling: of the values of images that are not of 8 bits.
    """

    crop_size: int
    pairs: PairSettings
    seed: int
    scale_range: tuple[float, float] = (1.0, 1.0)
    quarter_turns: bool = True
    channels: int = 3
    scaling: ValueScaling | None = None

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> Row:
        """The row of a sample in an epoch.

        `image` is uint8 `(channels, crop_size, crop_size)`, `mask_labels` bool `(2, crop_size, crop_size)`, and
        `points`, `pairs`, `connected` and `valid` are as in [`RoadPairs`].

        Raises:
            ValueError: if the sample has no image or graph, or an image of other channels.
        """
        name = sample.get("id", "a sample")
        if sample.get("image") is None:
            raise ValueError(f"{name} has no image; its columns: {', '.join(sample)}")
        found, _ = image_kind(sample["image"])
        if found != self.channels:
            raise ValueError(f"the image {name!r} has {found} channels, the model takes {self.channels}")
        generator = np.random.default_rng(sample_seed(self.seed, "roads", epoch, name))
        pixels, graph = self._scaled(sample, generator)
        height, width = pixels.shape[:2]
        left, top = (int(generator.integers(0, max(0, side - self.crop_size) + 1)) for side in (width, height))
        turns = int(generator.integers(4)) if self.quarter_turns else 0
        box = (left, top, left + self.crop_size, top + self.crop_size)
        crop = np.zeros((self.crop_size, self.crop_size, self.channels), dtype=np.uint8)
        seen = pixels[top : box[3], left : box[2]]
        crop[: seen.shape[0], : seen.shape[1]] = seen
        sampled = sample_pairs(graph, box, self.pairs, generator, turns)
        arrays = {
            "image": np.rot90(crop, turns).transpose(2, 0, 1),
            "mask_labels": np.rot90(road_rasters(graph, box), turns, axes=(1, 2)),
            "points": sampled.points,
            "pairs": sampled.pairs,
            "connected": sampled.connected,
            "valid": sampled.valid,
        }
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def _scaled(self, sample: Mapping[str, Any], generator: np.random.Generator) -> tuple[np.ndarray, RoadGraph]:
        """Image `(height, width, channels)` and graph, resized by a random factor where there is one."""
        pixels = image_pixels(sample["image"], self.scaling)
        height, width = pixels.shape[:2]
        graph = graph_of(sample, (width, height))
        if self.scale_range == (1.0, 1.0):
            return pixels, graph
        factor = generator.uniform(*self.scale_range)
        size = tuple(max(1, round(side * factor)) for side in (width, height))
        resized = resize(pixels, size, (0, 0, width, height), Image.Resampling.BILINEAR)
        return resized, RoadGraph(graph.nodes * (size[0] / width, size[1] / height), graph.edges)


def collate(rows: Sequence[Row]) -> Row:
    """Rows to a batch: every column stacked, points filled up with (0, 0)."""
    most = max(len(row["points"]) for row in rows)
    filled = []
    for row in rows:
        points = torch.zeros(most, 2)
        points[: len(row["points"])] = row["points"]
        filled.append({**row, "points": points})
    return stack_rows(filled)
