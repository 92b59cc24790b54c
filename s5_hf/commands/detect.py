"""`s5-hf detect`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import (
    Flips,
    Overwrite,
    Precision,
    Resume,
    Task,
    scene_reading,
    takes,
    words,
)

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def detect(
    model: Annotated[
        str, typer.Argument(help="Oriented detector: a folder, an .onnx file, a Hub repository or a known name.")
    ],
    scenes: Annotated[
        list[str], typer.Argument(help="Scenes to search: files, URLs, folders, or patterns such as 'data/*.tif'.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("detections"),
    *,
    task: Task = None,
    formats: Annotated[
        str, typer.Option(help="Files to write: any of json (always), geojson, gpkg, overlay, dota, with commas.")
    ] = "json,geojson,overlay",
    threshold: Annotated[
        float, typer.Option(help="Lowest score of an object. Published average precisions are computed from 0.05 on.")
    ] = 0.3,
    tile: Annotated[int, typer.Option(help="Side of a tile in pixels.")] = 1024,
    overlap: Annotated[
        float,
        typer.Option(help="Share of a tile that the next one covers again; at least as long as the objects."),
    ] = 200 / 1024,
    batch_size: Annotated[int, typer.Option(help="Number of tiles per forward pass.")] = 2,
    flips: Flips = "none",
    iou_threshold: Annotated[
        float,
        typer.Option(help="Of two objects of a class in a tile that overlap by more than this, the better one stays."),
    ] = 0.1,
    merge_iou_threshold: Annotated[float, typer.Option(help="The same for objects of different tiles.")] = 0.1,
    max_detections: Annotated[int, typer.Option(help="How many objects are kept per tile, the best ones.")] = 2000,
    reading: "SceneReading",
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    precision: Precision = "fp32",
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Find oriented objects in whole scenes of any size. An object cut by a tile is found once.

    - `s5-hf detect my-detector 'scenes/*.png' --tile 640 --overlap 0.2 --resume`
    - `s5-hf detect s5-vit-b-moe-det harbour.tif --task dota --output found`
    - `s5-hf detect my-detector.onnx harbour.tif --output found`
    - `s5-hf detect my-detector test/images --formats dota --threshold 0.05 --output submission`

    To share the scenes among several GPUs: `accelerate launch -m s5_hf.cli detect ...`.
    """
    from ..imaging import find_scenes
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
        reading=reading,
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
