"""Scoring files of road graphs: finding the tiles, bringing both graphs to one grid, and the scores."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset_builders.coordinate_systems import crs_text, points_in_crs
from ..dataset_builders.graph_lines import LONGITUDE_LATITUDE, GeoLines, ImageGrid, joined_lines
from ..dataset_builders.pickled_graphs import GRAPH_FILES
from ..dataset_builders.road_graph import RoadGraph
from ..imaging.rasters import open_dataset, require_geo
from .graphs import PICKLE_SUFFIXES, READ_SUFFIXES, read_graph, read_lines, require_graph_file

if TYPE_CHECKING:
    from ..metrics.road_graph_metrics import RoadGraphMetrics

__all__ = ["ScoreSettings", "score_graph_files"]

logger = logging.getLogger(__name__)

_AFFIXES = re.compile(r"^region_|(?:_refine_gt_graph|_graph_gt|__gt_graph|_gt_graph)$")
_BORDER = 10.0  # metres around graphs of a map


@dataclass(frozen=True)
class ScoreSettings:
    """How graphs are compared.

    Attributes:
        protocol: as `RoadGraphMetrics` has it; by default `"scene"` for graphs on a
            map and `"city-scale"` for those in pixels.
        pixel_size: metres per pixel of graphs in pixels.
        junction_radius: pixels, or metres on a map, within which crossings are partners.
        image: whose pixels both graphs are brought to, where it has a CRS.
        rows_from_below: height of the images where pickles of the reference count rows from the lower edge.
    """

    protocol: str | None = None
    pixel_size: float = 1.0
    junction_radius: float = 10.0
    image: Path | None = None
    rows_from_below: float | None = None


def score_graph_files(reference: Path, prediction: Path, settings: ScoreSettings | None = None) -> dict[str, Any]:
    """Scores of one file, or of all files of a folder, as `RoadGraphMetrics.compute` gives them.

    Files of folders are paired by their names without what published files have around the number of a tile, such as
    `region_8_graph_gt.pickle` and `8.geojson`. What is predicted beyond the reference is not scored.

    Raises:
        FileNotFoundError: a path does not exist, or a tile has no prediction.
        ValueError: a file is not a road graph, names are not unique, or one graph is on a map and the other in pixels.
    """
    settings = settings or ScoreSettings()
    pairs = _paired_files(reference, prediction)
    grid = None if settings.image is None else _grid_of(settings.image)
    metrics: RoadGraphMetrics | None = None
    for name, (wanted, found) in pairs.items():
        truth, guess, on_map = _comparable(wanted, found, grid, settings)
        if metrics is None:
            metrics = _metrics(settings, on_map)
        metrics.add(reference=truth, prediction=guess, tile=name)
    assert metrics is not None
    return metrics.compute()


def _metrics(settings: ScoreSettings, on_map: bool) -> RoadGraphMetrics:
    from ..metrics import RoadGraphMetrics

    protocol = settings.protocol or ("scene" if on_map else "city-scale")
    return RoadGraphMetrics(protocol, 1.0 if on_map else settings.pixel_size, settings.junction_radius)


def _paired_files(reference: Path, prediction: Path) -> dict[str, tuple[Path, Path]]:
    for path in (reference, prediction):
        if not path.exists():
            raise FileNotFoundError(f"there is no file or folder {path}")
    if reference.is_dir() != prediction.is_dir():
        raise ValueError(f"{reference} and {prediction} must be two files or two folders")
    if reference.is_file():
        return {tile_name(reference): (reference, prediction)}
    wanted, found = _graph_files(reference), _graph_files(prediction)
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise FileNotFoundError(
            f"{prediction} has no graph for {len(missing)} of {len(wanted)} tiles, the first is {missing[0]}; an "
            "empty graph is a file too"
        )
    return {name: (wanted[name], found[name]) for name in sorted(wanted)}


def tile_name(path: Path) -> str:
    """The name of a tile, without what published files have around it."""
    return _AFFIXES.sub("", _AFFIXES.sub("", path.stem))


def _graph_files(folder: Path) -> dict[str, Path]:
    """Files of graphs by tile; of the two that some datasets publish of a tile, the one for scores."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in READ_SUFFIXES or path.name == "dataset.json":
            continue
        name = tile_name(path)
        if name in found:
            originals = [one for one in (found[name], path) if one.name.endswith(GRAPH_FILES["original"])]
            if len(originals) != 1:
                raise ValueError(f"{found[name]} and {path} are both graphs of the tile {name}")
            path = originals[0]
        found[name] = path
    if not found:
        raise FileNotFoundError(f"{folder} holds no road graphs, which end in {', '.join(READ_SUFFIXES)}")
    return found


def _grid_of(image: Path) -> ImageGrid:
    require_geo("reading where an image lies", "rasterio")
    with open_dataset(image) as dataset:
        if dataset.crs is None:
            return ImageGrid((dataset.width, dataset.height))
        return ImageGrid((dataset.width, dataset.height), dataset.crs, dataset.transform)


def _comparable(
    wanted: Path, found: Path, grid: ImageGrid | None, settings: ScoreSettings
) -> tuple[RoadGraph, RoadGraph, bool]:
    """Both graphs on one grid, and whether its unit is the metre of a map."""
    if grid is not None:
        return _in_pixels(wanted, settings, grid), _in_pixels(found, settings, grid), False
    lines = [_map_lines(path) for path in (wanted, found)]
    if all(one is None for one in lines):
        return _in_pixels(wanted, settings), _in_pixels(found, ScoreSettings()), False
    if any(one is None and _has_nodes(path) for one, path in zip(lines, (wanted, found), strict=True)):
        raise ValueError(
            f"one of {wanted} and {found} is on a map, the other in pixels; name the image that they lie on (--image)"
        )
    truth, guess = _on_plane([one or GeoLines(()) for one in lines], (str(wanted), str(found)))
    return truth, guess, True


def _in_pixels(path: Path, settings: ScoreSettings, grid: ImageGrid | None = None) -> RoadGraph:
    graph = read_graph(path, grid)
    if settings.rows_from_below is None or path.suffix.lower() not in PICKLE_SUFFIXES:
        return graph
    return RoadGraph(graph.nodes * (1, -1) + (0, settings.rows_from_below), graph.edges)


def read_for_conversion(path: Path, settings: ScoreSettings) -> tuple[RoadGraph, str | None]:
    """A graph in the coordinates of its file, and their CRS; None for pixels."""
    lines = _map_lines(path)
    crs = None if lines is None else lines.crs or LONGITUDE_LATITUDE
    return _in_pixels(path, settings), crs


def _has_nodes(path: Path) -> bool:
    return len(read_graph(path).nodes) > 0


def _map_lines(path: Path) -> GeoLines | None:
    """Lines of a file that lies on a map; None for one in pixels.

    A GeoJSON file that says nothing of its coordinates is in longitude and latitude, as the standard has it, unless
    some lie beyond the globe.
    """
    suffix = require_graph_file(path, READ_SUFFIXES)
    if suffix == ".graphml" or suffix in PICKLE_SUFFIXES:
        return None
    lines = read_lines(path)
    if lines.crs is not None:
        return lines
    if lines.in_pixels or suffix == ".gpkg" or not lines.lines:
        return None
    if (np.abs(np.concatenate(lines.lines)) > (180.0, 90.0)).any():
        return None
    logger.warning("%s says nothing of its coordinates, which are taken for longitude and latitude", path)
    return lines


def _on_plane(files: list[GeoLines], names: tuple[str, str]) -> list[RoadGraph]:
    """Graphs in metres on a plane around the reference, x to the right and y down."""
    require_geo("comparing graphs on a map", "rasterio")
    degrees = crs_text(LONGITUDE_LATITUDE)
    graphs = [joined_lines(lines.lines) for lines in files]
    places = [
        points_in_crs(nodes, crs_text(lines.crs), degrees) if len(nodes) and lines.crs else nodes
        for lines, (nodes, _) in zip(files, graphs, strict=True)
    ]
    middle = np.concatenate(places).mean(axis=0)
    plane = crs_text(f"+proj=aeqd +lon_0={middle[0]:.6f} +lat_0={middle[1]:.6f} +datum=WGS84 +units=m +no_defs")
    metres = [points_in_crs(one, degrees, plane) * (1, -1) if len(one) else one for one in places]
    corner = np.concatenate(metres).min(axis=0) - _BORDER
    return [
        RoadGraph.repaired(nodes - corner, edges, name)
        for nodes, (_, edges), name in zip(metres, graphs, names, strict=True)
    ]


def score_table(scores: Mapping[str, Any]) -> list[str]:
    """Lines of a table for people: the scores in percent, and a line for each of several tiles."""
    named = {
        "APLS": "apls",
        "TOPO precision": "topo_precision",
        "TOPO recall": "topo_recall",
        "TOPO F1": "topo_f1",
        "junction F1": "junction_f1",
        "road pixels IoU": "pixel_iou",
    }
    lines = [f"{title:16} {100 * scores[key]:6.2f}" for title, key in named.items()]
    if scores["tiles"] > 1:
        lines += ["", f"{'tile':24} {'APLS':>6} {'TOPO':>6} {'cross.':>6} {'pixels':>6}"]
        lines += [
            f"{name:24} " + " ".join(f"{100 * value:6.2f}" for value in tile.values())
            for name, tile in scores["per_tile"].items()
        ]
    return lines
