"""Roads of whole scenes: a graph in a file, with the confidence of each road."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from ...files.atomic import atomic_file
from ...imaging.scene_files import scene_stem
from ...predictors.interfaces import SceneRoadNetwork
from ...predictors.torch_road_network import load_road_network
from ...roads.graph_cleaning import simplified_graph, without_stubs
from ...roads.graphs import RoadGraph, require_graph_file, write_graph
from ...roads.networkx_graphs import require_networkx
from ..reading import SceneReading
from ..scene_run import finished_work_kept, require_absent, require_distinct
from ..source import SceneSource, open_scene
from .overlay import draw_roads
from .road_journal import RoadJournal
from .road_settings import RoadSettings, road_grid
from .road_tracing import RoadTracer, SceneRoads
from .window_spool import WindowSpool

__all__ = ["RoadProducts", "TracedScene", "trace_roads"]


@dataclass(frozen=True)
class RoadProducts:
    """What to make of the graph of a scene.

    Attributes:
        overlay: `_overlay.png`, a picture with at most 2048 pixels a side.
        graphml: `.graphml`, the graph with all its nodes for networkx and the like.
        simplify: how far roads may move where nodes along them are left out, in pixels; 0 keeps all nodes.
        prune: dead ends shorter than this are left out, in pixels.

    Raises:
        ValueError: a length is negative.
    """

    overlay: bool = False
    graphml: bool = False
    simplify: float = 1.0
    prune: float = 0.0

    def __post_init__(self) -> None:
        for name in ("simplify", "prune"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a number of pixels from 0 on, got {getattr(self, name)}")

    def files(self, output: str | Path) -> dict[str, Path]:
        """The files by their kind: `roads`, and `overlay` and `graphml` where they are made.

        Raises:
            ImportError: a package for a kind of file is missing.
            IsADirectoryError: the output is a folder.
            ValueError: the output has another suffix than a file of roads.
        """
        output = Path(output)
        require_graph_file(output)
        if output.is_dir():
            raise IsADirectoryError(f"{output} is a folder, expected the name of a file to write")
        files = {"roads": output}
        if self.overlay:
            files["overlay"] = output.with_name(f"{output.stem}_overlay.png")
        if self.graphml:
            files["graphml"] = output.with_suffix(".graphml")
        if any(path.suffix.lower() == ".graphml" for path in files.values()):
            require_networkx()
        return files


@dataclass(frozen=True)
class TracedScene:
    """What `trace_roads` made.

    Attributes:
        files: what was written, by its kind.
        graph: as in the files, in pixels of the scene.
        confidence: of each edge, float64 `(m,)`, 0..1.
        notes: what the user should know, a sentence each.
    """

    files: dict[str, Path]
    graph: RoadGraph
    confidence: np.ndarray
    notes: list[str] = field(default_factory=list)


# A twin of `segment_scene` and `detect_scene` in its arguments on purpose, so that a user learns them once.
def trace_roads(
    model: str | Path | PreTrainedModel | SceneRoadNetwork,
    source: str | Path,
    output: str | Path,
    settings: RoadSettings | Mapping[str, Any] | None = None,
    products: RoadProducts | None = None,
    reading: SceneReading | None = None,
    device: str | torch.device | None = None,
    precision: str = "fp32",
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> TracedScene:
    """Trace the roads of a scene of any size as one graph.

    ```python
    >>> traced = trace_roads("my-roads", "city.tif", "roads.gpkg")  # doctest: +SKIP
    >>> len(traced.graph.edges)  # doctest: +SKIP
    418

    ```

    Args:
        model: a folder, a Hub repository or a known name; a model; or a `SceneRoadNetwork`.
        source: a path, a URL or a name that GDAL knows; see `open_scene`.
        output: `.gpkg` or `.geojson`, a line per road with its `confidence` and `length`, or `.graphml`.
        settings: windows and thresholds; a mapping replaces only some of those of the model.
        products: what to make besides, and how much simpler.
        reading: how the scene is read: bands, scaling, pixels without data; by default as the model was trained.
        device: where the network runs; the first GPU if there is one.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.
        resume: resume an interrupted run; the result is the same.
        overwrite: replace existing files, and discard an interrupted run.
        progress: whether to show a bar over the windows.
        report: takes what the user should know, a line at a time.

    Raises:
        FileExistsError: one of the files already exists, and `overwrite` is not set.
        ImportError: a package of an extra is missing.
        NonFiniteOutputError: the outputs of the network are not finite; names the window.
        OSError: a file cannot be read or written. What is finished is kept for `resume`.
        ValueError: an option is out of range, the model finds no roads, or the bands do not fit.
    """
    products, reading = products or RoadProducts(), reading or SceneReading()
    files = products.files(output)
    require_distinct({source: files.values()})
    if not overwrite:
        require_absent(files.values())
    network = load_road_network(model, device, precision)
    settings = _settings_for(network, settings)
    with open_scene(source, len(network.image_mean), reading.as_trained(network)) as scene:
        for note in scene.notes:
            report(note)
        fingerprint = f"{network.fingerprint} {scene.fingerprint} {settings}"
        work = files["roads"].with_name(f".{files['roads'].name}.partial")
        journal = RoadJournal(work, fingerprint, scene.width, resume)
        with finished_work_kept(work, "windows", report), closing(journal):
            found = _trace(scene, network, settings, journal, progress, report)
            traced = _write(found, scene, files, products, report)
        journal.remove()
    return traced


def _settings_for(network: SceneRoadNetwork, settings: RoadSettings | Mapping[str, Any] | None) -> RoadSettings:
    """The settings, those of the model where the user chose none.

    Raises:
        ValueError: the network takes windows of another size only.
    """
    if not isinstance(settings, RoadSettings):
        settings = RoadSettings.chosen(getattr(network, "road_settings", {}), **(settings or {}))
    fixed = getattr(network, "fixed_size", None)
    if fixed is not None and (settings.window != fixed or not settings.extend_small_scenes):
        raise ValueError(f"this model takes windows of {fixed} pixels only, got {settings.window}")
    return settings


def _trace(
    scene: SceneSource,
    network: SceneRoadNetwork,
    settings: RoadSettings,
    journal: RoadJournal,
    progress: bool,
    report: Callable[[str], None],
) -> SceneRoads:
    windows = len(road_grid(scene.height, scene.width, settings))
    if journal.restart_window:
        report(f"resuming after window {journal.restart_window:,} of {windows:,}")
    with tqdm(total=windows, desc=scene_stem(scene.name), unit="window", disable=not progress) as bar:
        tracer = RoadTracer(
            scene, network, settings, WindowSpool(journal.spool), journal, lambda done: bar.update(done - bar.n)
        )
        return tracer.trace()


def _write(
    found: SceneRoads,
    scene: SceneSource,
    files: Mapping[str, Path],
    products: RoadProducts,
    report: Callable[[str], None],
) -> TracedScene:
    """The files of a graph. Nodes lie in the middle of their pixels."""
    graph = RoadGraph(found.nodes + 0.5, found.edges)
    fields: dict[str, np.ndarray] = {"confidence": found.edge_scores.astype(np.float64)}
    if products.prune:
        graph, fields = without_stubs(graph, products.prune, fields)
    if products.simplify:
        graph, fields = simplified_graph(graph, products.simplify, fields)
    fields = {name: values.round(4) for name, values in fields.items()}
    notes = [*scene.notes]
    if scene.crs is None:
        notes.append(f"{scene.name} has no CRS: coordinates are pixels, x right, y down")
        report(notes[-1])
    crs, transform = (None, None) if scene.crs is None else (scene.crs.to_wkt(), scene.transform)
    for kind in ("roads", "graphml"):
        if kind in files:
            write_graph(files[kind], graph, crs, transform, fields)
    if "overlay" in files:
        with atomic_file(files["overlay"]) as temporary:
            draw_roads(graph, fields["confidence"], scene).save(temporary, format="PNG")
    return TracedScene(dict(files), graph, fields["confidence"], notes)
