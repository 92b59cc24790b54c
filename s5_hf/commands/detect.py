"""`s5-hf detect`."""

from pathlib import Path
from typing import Annotated

import typer

from .option_values import Bands, MaximumPixels, Percentiles, ValueRange, scene_reading, words


def detect(
    model: Annotated[str, typer.Argument(help="Oriented detector: a folder, a Hub repository or a known name.")],
    scenes: Annotated[list[str], typer.Argument(help="Scenes: files, URLs, folders, patterns such as 'data/*.tif'.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("detections"),
    task: Annotated[str | None, typer.Option(help="Of a model with several tasks.")] = None,
    formats: Annotated[
        str, typer.Option(help="Of json (always), geojson, gpkg, overlay, dota, separated by commas.")
    ] = "json,geojson,overlay",
    threshold: Annotated[
        float, typer.Option(help="Least score. Published results keep 0.05, for average precision.")
    ] = 0.3,
    tile: Annotated[int, typer.Option(help="Side of a tile in pixels.")] = 1024,
    overlap: Annotated[
        float, typer.Option(help="Share of a tile that the next one covers again; as long as the objects, or longer.")
    ] = 200 / 1024,
    batch_size: Annotated[int, typer.Option(help="Tiles per forward pass.")] = 2,
    flips: Annotated[
        str, typer.Option(help="Views to put together: none,horizontal,vertical,both or some of them.")
    ] = "none",
    iou_threshold: Annotated[
        float, typer.Option(help="Of two objects of a class in a tile that overlap more the better one stays.")
    ] = 0.1,
    merge_iou_threshold: Annotated[float, typer.Option(help="The same for objects of different tiles.")] = 0.1,
    max_detections: Annotated[int, typer.Option(help="The best that are kept per tile.")] = 2000,
    bands: Bands = None,
    percentiles: Percentiles = None,
    value_range: ValueRange = None,
    nodata: Annotated[float | None, typer.Option(help="Value of pixels without data; by default the file's.")] = None,
    maximum_pixels: MaximumPixels = None,
    device: Annotated[str | None, typer.Option(help="Such as cuda:1 or cpu; by default the first GPU.")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with interrupted scenes; leave finished ones.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there already.")] = False,
) -> None:
    """Find oriented objects in whole scenes of any size; an object cut by a tile is found once.

    - `s5-hf detect s5-vit-b-moe-det harbour.tif --task dota --output found`
    - `s5-hf detect my-detector 'scenes/*.png' --tile 640 --overlap 0.2 --resume`
    - `s5-hf detect my-detector test/images --formats dota --threshold 0.05 --output submission`

    On several GPUs, a share of the scenes on each: `accelerate launch -m s5_hf.cli detect ...`.
    """
    from ..scenes import find_scenes
    from ..scenes.detection import TileSettings, detect_scenes

    results = detect_scenes(
        model,
        find_scenes(scenes),
        output,
        task=task,
        formats=words(formats),
        settings=TileSettings(
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            flips=tuple(words(flips)),
            threshold=threshold,
            iou_threshold=iou_threshold,
            merge_iou_threshold=merge_iou_threshold,
            max_detections=max_detections,
        ),
        reading=scene_reading(bands, percentiles, value_range, nodata, maximum_pixels),
        device=device,
        precision=precision,
        resume=resume,
        overwrite=overwrite,
    )
    for result in results:
        counts = ", ".join(f"{count:,} {label}" for label, count in result.counts().items())
        typer.echo(f"{result.files['json']}: {counts or 'nothing found'}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(detect)
