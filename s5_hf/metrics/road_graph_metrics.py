"""Scores of road graphs as a module of `evaluate`. It needs no network.

from s5_hf.metrics import RoadGraphMetrics
metrics = RoadGraphMetrics()
metrics.add(prediction=found, reference=truth)  # RoadGraph, or a dictionary with nodes and edges
metrics.compute()["apls"]
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import datasets
import evaluate
import numpy as np

from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.metrics.apls import CITY_SCALE_APLS, SPACENET_APLS, AplsCounts, AplsSettings, compare_paths
from s5_hf.metrics.road_counts import FoundCounts, junction_counts, road_pixel_counts
from s5_hf.metrics.topo import TopoCounts, compare_walks

DESCRIPTION = """\
APLS, TOPO (precision, recall, F1), F1 of crossings and IoU of road pixels of road graphs, tile by tile.
"""

INPUTS = """
Args:
    predictions: per tile, a RoadGraph or a mapping with nodes [n, 2] (x, y in pixels) and edges [m, 2].
    references: the same of the true roads.

Returns:
    apls, topo_precision, topo_recall, topo_f1, junction_f1, junction_precision, junction_recall, pixel_iou, pixel_f1,
    tiles and per_tile; scores in 0..1, NaN where no tile has what is scored.
"""

CITATION = """@article{vanetten2018spacenet,
  title={SpaceNet: A Remote Sensing Dataset and Challenge Series},
  author={Van Etten, Adam and Lindenbaum, Dave and Bacastow, Todd M.},
  journal={arXiv preprint arXiv:1807.01232},
  year={2018}
}"""

PROTOCOLS: dict[str, AplsSettings] = {"city-scale": CITY_SCALE_APLS, "spacenet": SPACENET_APLS}


@dataclass(frozen=True)
class RoadTileCounts:
    """What is counted on one tile; counts add up."""

    apls: AplsCounts = field(default_factory=AplsCounts)
    topo: TopoCounts = field(default_factory=TopoCounts)
    junctions: FoundCounts = field(default_factory=FoundCounts)
    pixels: FoundCounts = field(default_factory=FoundCounts)

    def __add__(self, other: "RoadTileCounts") -> "RoadTileCounts":
        return RoadTileCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class RoadGraphMetrics(evaluate.Metric):
    """`evaluate` module over APLS, TOPO and the counts of crossings and pixels. It writes no files.

    APLS, TOPO and its F1 are means over the tiles, as published. With `protocol="spacenet"` the F1 of TOPO is that of
    the mean precision and recall, where tiles on which both are 0 are left out.

    Args:
        protocol: `"city-scale"` (also for Global-Scale), `"spacenet"`, or `"scene"`, which takes places all over
            graphs of any size instead of those well inside a tile.
        pixel_size: metres per pixel.
        junction_radius: pixels within which crossings are partners.
        **options: those of every module of `evaluate`.

    Raises:
        ValueError: an unknown protocol, or a size that is not above 0.
    """

    def __init__(
        self, protocol: str = "city-scale", pixel_size: float = 1.0, junction_radius: float = 10.0, **options: Any
    ) -> None:
        if protocol not in (*PROTOCOLS, "scene"):
            raise ValueError(f"unknown protocol {protocol!r}; known: {', '.join((*PROTOCOLS, 'scene'))}")
        self.protocol, self.pixel_size, self.junction_radius = protocol, pixel_size, junction_radius
        self.tiles: dict[str, RoadTileCounts] = {}
        super().__init__(**options)

    def _info(self) -> evaluate.MetricInfo:
        values = datasets.Value("float64")
        graph = {"nodes": datasets.List(datasets.List(values)), "edges": datasets.List(datasets.List(values))}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": graph, "references": graph}),
        )

    def add(
        self,
        *,
        prediction: Any = None,
        reference: Any = None,
        tile: str | None = None,
        size: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Count one tile.

        Args:
            prediction, reference: graphs.
            tile: its name; one that comes twice, as from a sampler that pads, counts once.
            size: (width, height) in pixels; by default the graphs say how far pixels are counted.

        Raises:
            ValueError: a graph is missing or is not one.
        """
        found, truth = _graph(prediction, "prediction"), _graph(reference, "reference")
        settings = PROTOCOLS.get(self.protocol, AplsSettings(tile=None, margin=0.0))
        if size is None:
            places = np.concatenate([truth.nodes, found.nodes, [[0.0, 0.0]]])
            size = tuple(int(side) + 3 for side in places.max(axis=0))
        small = True if self.protocol == "spacenet" else None
        self.tiles[f"tile {len(self.tiles)}" if tile is None else tile] = RoadTileCounts(
            compare_paths(truth, found, settings, self.pixel_size),
            compare_walks(truth, found, self.pixel_size, small),
            junction_counts(truth, found, self.junction_radius),
            road_pixel_counts(truth, found, size),
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Count several tiles."""
        if predictions is None or references is None or len(predictions) != len(references):
            raise ValueError("expected as many predictions as references")
        for prediction, reference in zip(predictions, references, strict=True):
            self.add(prediction=prediction, reference=reference)

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Scores of all tiles added; the metric is then empty again.

        Raises:
            ValueError: nothing was added.
        """
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions, references=references)
        if not self.tiles:
            raise ValueError("no tiles were added: call add or add_batch first")
        tiles, self.tiles = self.tiles, {}
        total = sum(tiles.values(), RoadTileCounts())
        return {
            "apls": _mean([tile.apls.score for tile in tiles.values()]),
            **self._topo([tile.topo for tile in tiles.values()]),
            "junction_precision": total.junctions.precision,
            "junction_recall": total.junctions.recall,
            "junction_f1": total.junctions.f1,
            "pixel_iou": total.pixels.iou,
            "pixel_f1": total.pixels.f1,
            "tiles": len(tiles),
            "per_tile": {
                name: {
                    "apls": tile.apls.score,
                    "topo_f1": tile.topo.f1,
                    "junction_f1": tile.junctions.f1,
                    "pixel_iou": tile.pixels.iou,
                }
                for name, tile in tiles.items()
            },
        }

    def _topo(self, tiles: list[TopoCounts]) -> dict[str, float]:
        if self.protocol == "spacenet":
            tiles = [tile for tile in tiles if tile.precision > 0 or tile.recall > 0]
        precision, recall = (_mean([getattr(tile, name) for tile in tiles]) for name in ("precision", "recall"))
        f1 = _mean([tile.f1 for tile in tiles])
        if self.protocol == "spacenet" and tiles:
            f1 = 2 * precision * recall / (precision + recall)
        return {"topo_precision": precision, "topo_recall": recall, "topo_f1": f1}


def _graph(given: Any, name: str) -> RoadGraph:
    if isinstance(given, RoadGraph):
        return given
    if not isinstance(given, Mapping) or not {"nodes", "edges"} <= set(given):
        raise ValueError(
            f"the {name} is a {type(given).__name__}, expected a RoadGraph, or a mapping with nodes and edges"
        )
    return RoadGraph.repaired(given["nodes"], given["edges"], f"the {name}")


def _mean(values: list[float]) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
