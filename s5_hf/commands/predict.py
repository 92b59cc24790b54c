"""`s5-hf predict`."""

from pathlib import Path
from typing import Annotated

import typer

from .option_values import (
    Bands,
    MaximumPixels,
    Percentiles,
    ValueRange,
    numbers,
    scene_reading,
    words,
)


def predict(
    model: Annotated[
        str, typer.Argument(help="Segmenter: a folder, a Hub repository, a known name, or an .onnx file.")
    ],
    scenes: Annotated[list[str], typer.Argument(help="Scenes: files, URLs, folders, patterns such as 'data/*.tif'.")],
    output: Annotated[Path, typer.Argument(help="A folder; or for a single scene a file, .tif or .png.")],
    task: Annotated[str | None, typer.Option(help="Of a model with several tasks.")] = None,
    window: Annotated[int, typer.Option(help="Side of a window in pixels, a multiple of 16.")] = 512,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again.")] = 0.25,
    blending: Annotated[str, typer.Option(help="cosine, gaussian or flat.")] = "cosine",
    batch_size: Annotated[int, typer.Option(help="Windows per forward pass.")] = 4,
    flips: Annotated[
        str, typer.Option(help="Flips to average over: none,horizontal,vertical,both or some of them.")
    ] = "none",
    scales: Annotated[str, typer.Option(help="Scales to average over, such as 0.75,1,1.25.")] = "1",
    bands: Bands = None,
    percentiles: Percentiles = None,
    value_range: ValueRange = None,
    nodata: Annotated[float | None, typer.Option(help="Value of pixels without data; by default the file's.")] = None,
    maximum_pixels: MaximumPixels = None,
    device: Annotated[
        list[str] | None, typer.Option(help="Such as cuda:1 or cpu (repeatable); by default the first GPU.")
    ] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    compile_model: Annotated[bool, typer.Option("--compile", help="Run the network through torch.compile.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also a map per class, 0..254.")] = False,
    entropy: Annotated[bool, typer.Option("--entropy", help="Also a map of the entropy, 0..254.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also a picture, reduced for big scenes.")] = False,
    areas: Annotated[bool, typer.Option("--areas", help="Also the areas of the classes as CSV.")] = False,
    polygons: Annotated[
        str | None, typer.Option(help="Also polygons: a file .geojson or .gpkg, or the suffix alone.")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Classes that become polygons, such as roof,road.")] = None,
    minimum_area: Annotated[float, typer.Option(help="Of a polygon, in m² (pixels without CRS).")] = 0.0,
    simplify: Annotated[
        float | None, typer.Option(help="How far an outline may move, in units of the map; one pixel if not given.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with interrupted scenes; leave finished ones.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace maps that are there already.")] = False,
) -> None:
    """Segment whole scenes of any size into georeferenced maps; memory does not grow with their height.

    - `s5-hf predict my-segmenter city.tif maps --task loveda --overlay --polygons .geojson`
    - `s5-hf predict my-segmenter 'scenes/*.tif' maps --flips none,horizontal --resume`
    - `s5-hf predict my-segmenter https://server/cog.tif map.tif --bands 4,3,2 --value-range 0,3000`

    On several GPUs, a share of the scenes on each: `accelerate launch -m s5_hf.cli predict ...`.
    """
    from ..scenes import MapProducts, WindowSettings, find_scenes, segment_scenes

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
            polygon_classes=words(classes) if classes else None,
            minimum_area=minimum_area,
            simplify=simplify,
        ),
        reading=scene_reading(bands, percentiles, value_range, nodata, maximum_pixels),
        devices=device,
        precision=precision,
        compile_model=compile_model,
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
    app.command()(predict)
