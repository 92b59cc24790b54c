"""`s5-hf roads`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Overwrite, Precision, scene_reading, takes

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def roads(
    model: Annotated[str, typer.Argument(help="Model of road graphs: a folder, a Hub repository or a known name.")],
    scene: Annotated[str, typer.Argument(help="Scene to trace: a file or a URL.")],
    output: Annotated[Path, typer.Argument(help="File of the roads: .gpkg, .geojson or .graphml.")],
    *,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a picture of scene and roads, reduced for big scenes.")
    ] = False,
    graphml: Annotated[
        bool, typer.Option("--graphml", help="Also write the graph as GraphML, for networkx and the like.")
    ] = False,
    simplify: Annotated[
        float,
        typer.Option(help="How far a road may move where bends are left out, in pixels; 0 keeps every node."),
    ] = 1.0,
    prune: Annotated[float, typer.Option(help="Leave out dead ends shorter than this, in pixels.")] = 0.0,
    keypoint_threshold: Annotated[
        float | None, typer.Option(help="Lowest score of a crossing or an end; by default that of the model.")
    ] = None,
    road_threshold: Annotated[
        float | None, typer.Option(help="Lowest score of a point along a road; by default that of the model.")
    ] = None,
    topology_threshold: Annotated[
        float | None, typer.Option(help="Lowest score of a connection; by default that of the model.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(help="Side of a window in pixels, a multiple of 16; by default that of the model, or 512."),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Share of a window that the next one covers again, 0 to 0.9; by default 0.5."),
    ] = None,
    blending: Annotated[
        str | None, typer.Option(help="How overlapping scores are weighted: cosine (the default), gaussian or flat.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Number of windows per forward pass; by default 4.")] = None,
    reading: "SceneReading",
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    precision: Precision = "fp32",
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run; the result is the same.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Trace the roads of a scene of any size as one graph, without seams between windows.

    The file has a line for each road from one crossing or end to the next, with its confidence (0 to 1) and its length
    in pixels. GeoPackage keeps the CRS of the scene, GeoJSON is in longitude and latitude.

    - `s5-hf roads my-road-model city.tif roads.gpkg --overlay`
    - `s5-hf roads my-road-model city.tif roads.geojson --topology-threshold 0.6 --prune 30 --simplify 2`
    - `s5-hf roads my-road-model https://server/cog.tif roads.gpkg --bands 3,2,1 --value-range 0,3000 --resume`

    `s5-hf view classes.tif --lines roads.gpkg` shows the roads on a map of the scene.
    """
    from ..scenes.roads import RoadProducts, trace_roads

    traced = trace_roads(
        model,
        scene,
        output,
        settings={
            "keypoint_threshold": keypoint_threshold,
            "road_threshold": road_threshold,
            "topology_threshold": topology_threshold,
            "window": window,
            "overlap": overlap,
            "blending": blending,
            "batch_size": batch_size,
        },
        products=RoadProducts(overlay=overlay, graphml=graphml, simplify=simplify, prune=prune),
        reading=reading,
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
    )
    lines, length = len(traced.graph.chains()), float(traced.graph.lengths().sum())
    typer.echo(f"{traced.files['roads']}: {lines:,} roads, {length:,.0f} pixels long in all")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(roads)
