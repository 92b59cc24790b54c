"""`s5-hf predict`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import (
    Flips,
    Overwrite,
    Precision,
    Resume,
    Scales,
    Task,
    numbers,
    scene_reading,
    takes,
    words,
)
from .word_lists import ClassListCommand

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def predict(
    model: Annotated[
        str, typer.Argument(help="Segmenter: a folder, a Hub repository, a known name, or an .onnx file.")
    ],
    scenes: Annotated[
        list[str], typer.Argument(help="Scenes to map: files, URLs, folders, or patterns such as 'data/*.tif'.")
    ],
    output: Annotated[Path, typer.Argument(help="Folder for the maps; for a single scene also a .tif or .png file.")],
    *,
    task: Task = None,
    window: Annotated[int, typer.Option(help="Side of a window in pixels, a multiple of 16.")] = 512,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again, 0 to 0.9.")] = 0.25,
    blending: Annotated[
        str, typer.Option(help="How overlapping windows are weighted: cosine, gaussian or flat.")
    ] = "cosine",
    batch_size: Annotated[
        int | None,
        typer.Option(help="Number of windows per forward pass; by default 4, on a GPU as many as fit (up to 64)."),
    ] = None,
    flips: Flips = "none",
    scales: Scales = "1",
    reading: "SceneReading",
    device: Annotated[
        list[str] | None, typer.Option(help="Device, such as cuda:1 or cpu (repeatable); by default the first GPU.")
    ] = None,
    precision: Precision = "auto-gpu",
    compile_model: Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of each class, as 0 to 254.")
    ] = False,
    entropy: Annotated[bool, typer.Option("--entropy", help="Also write a map of the entropy, as 0 to 254.")] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a picture of scene and classes, reduced for big scenes.")
    ] = False,
    areas: Annotated[bool, typer.Option("--areas", help="Also write the areas of the classes as CSV.")] = False,
    polygons: Annotated[
        str | None,
        typer.Option(help="Also write polygons: the name of a .geojson or .gpkg file, or the suffix alone."),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME NAME ...",
            help="Words up to the next option. Open-vocabulary model: the classes to look for, each with synonyms "
            "after commas. Other models: the classes that become polygons.",
        ),
    ] = None,
    minimum_area: Annotated[
        float,
        typer.Option(
            help="Smallest region of the map, in m² (in pixels if the scene has no CRS); a smaller one goes to the "
            "neighbour with the longest border."
        ),
    ] = 0.0,
    simplify: Annotated[
        float | None,
        typer.Option(help="How far the outline of a polygon may move, in units of the map; one pixel if not given."),
    ] = None,
    square_corners: Annotated[
        bool,
        typer.Option(
            "--square-corners",
            help="Give polygons right angles where their sides follow one direction, as those of buildings do.",
        ),
    ] = False,
    palette: Annotated[
        Path | None,
        typer.Option(help="File with the colours of the classes: JSON, CSV, or a QGIS style (.qml)."),
    ] = None,
    style: Annotated[
        bool, typer.Option("--style", help="Also write a .qml file: names and colours of the classes for QGIS.")
    ] = False,
    stac: Annotated[
        bool, typer.Option("--stac", help="Also write a STAC item: place, projection and classes of the map.")
    ] = False,
    cog: Annotated[
        bool, typer.Option("--cog", help="Write cloud optimized GeoTIFFs, which can be read in parts from a server.")
    ] = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Segment whole scenes of any size into georeferenced maps. Memory does not grow with their height.

    - `s5-hf predict my-segmenter city.tif maps --task loveda --overlay --polygons .geojson`
    - `s5-hf predict my-segmenter 'scenes/*.tif' maps --flips none,horizontal --resume`
    - `s5-hf predict my-segmenter https://server/cog.tif map.tif --bands 4,3,2 --value-range 0,3000`
    - `s5-hf predict my-segmenter city.tif maps --polygons houses.gpkg --classes building --square-corners`
    - `s5-hf predict my-open-model city.tif maps --classes background building,roof road water`

    To share the scenes among several GPUs: `accelerate launch -m s5_hf.cli predict ...`. If there are fewer scenes
    than processes, all processes make each scene together, a band of its rows each.
    """
    from ..imaging import find_scenes
    from ..predictors.named_classes import takes_any_classes
    from ..scenes import MapProducts, WindowSettings, segment_scenes

    named = classes if classes and takes_any_classes(model) else None
    of_polygons = [name for text in classes or () for name in words(text)] if named is None else []
    results = segment_scenes(
        model,
        find_scenes(scenes),
        output,
        task=task,
        settings=WindowSettings(
            window=window,
            overlap=overlap,
            blending=blending,
            batch_size=batch_size,
            flips=tuple(words(flips)),
            scales=tuple(numbers(scales, "--scales")),
        ),
        products=MapProducts(
            probabilities=probabilities,
            entropy=entropy,
            overlay=overlay,
            areas=areas,
            polygons=polygons,
            polygon_classes=of_polygons or None,
            minimum_area=minimum_area,
            simplify=simplify,
            square_corners=square_corners,
            palette=palette,
            style=style,
            cloud_optimized=cog,
            stac=stac,
        ),
        reading=reading,
        devices=device,
        precision=precision,
        compile_model=compile_model,
        classes=named,
        resume=resume,
        overwrite=overwrite,
    )
    for result in results:
        typer.echo(result.files.classes)
        for area in sorted(result.areas, key=lambda area: -area.pixels):
            ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
            typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command(cls=ClassListCommand)(predict)
