"""`s5-hf convert-boxes` and `check-submission`: labels and results of oriented boxes as files."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import Annotated

import typer

from .option_values import words

app = typer.Typer()

MOST_PROBLEMS = 20
"""How many are printed."""

_FORMATS = "dota, yolo-obb, coco or labelme"


@app.command("convert-boxes")
def convert_boxes(
    source: Annotated[Path, typer.Argument(help="Folder with the label files, or the file of COCO.")],
    output: Annotated[Path, typer.Argument(help="Folder to make for the converted labels.")],
    source_format: Annotated[str, typer.Option("--from", help=f"Format of the labels: {_FORMATS}.")],
    target_format: Annotated[str, typer.Option("--to", help=f"Format to write: {_FORMATS}.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder with the images. Needed where labels do not say how large they are.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="Class names in the order of their ids, with commas; by default those that occur, sorted."),
    ] = None,
) -> None:
    """Convert labels of oriented boxes between DOTA, YOLO-OBB, COCO (polygons) and LabelMe.

    Every polygon becomes the smallest rectangle around it. Boxes wholly outside their image are left out. Images are
    not copied.

        s5-hf convert-boxes labels labels-dota --from yolo-obb --to dota --images images --classes ship,boat

        s5-hf convert-boxes annotations.json labels-yolo --from coco --to yolo-obb
    """
    from ..preparation import convert_boxes

    result = convert_boxes(
        source, output, source_format, target_format, images, words(classes) if classes is not None else ()
    )
    for note in result.notes:
        typer.echo(note, err=True)
    counts = ", ".join(f"{count:,} {name}" for name, count in result.boxes.items())
    typer.echo(f"{output}: {result.images:,} images, {counts or 'no boxes'}")


@app.command("check-submission")
def check_submission(
    submission: Annotated[Path, typer.Argument(help="Folder with the result files, or the zip archive.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder with the test images; names of other images are then an error.")
    ] = None,
    config: Annotated[str, typer.Option(help="Version of DOTA, which has the classes: v1.0, v1.5 or v2.0.")] = "v2.0",
    classes: Annotated[
        str | None, typer.Option(help="Class names with commas, for a benchmark with other classes than DOTA.")
    ] = None,
) -> None:
    """Check result files for DOTA's Task 1 against the rules of its server before you upload them.

    The exit code is 1 if a rule is broken.

        s5-hf check-submission submission/Task1 --images test/images --config v1.0
    """
    from ..dataset_builders.registry import get_entry
    from ..imaging import find_scenes
    from ..imaging.scene_files import scene_stem
    from ..scenes.detection import check_submission

    labels = words(classes) if classes is not None else get_entry("s5-dota").labels_of(config)
    names = None if images is None else {scene_stem(path) for path in find_scenes([str(images)])}
    result = check_submission(submission, labels, names)
    for problem in result.problems[:MOST_PROBLEMS]:
        typer.echo(problem, err=True)
    if len(result.problems) > MOST_PROBLEMS:
        typer.echo(f"... and {len(result.problems) - MOST_PROBLEMS:,} more", err=True)
    verdict = f"{len(result.problems):,} problems" if result.problems else "fit for upload"
    total = sum(result.detections.values())
    typer.echo(f"{submission}: {total:,} detections in {result.images:,} images, {verdict}")
    if result.problems:
        raise typer.Exit(1)
