"""`s5-hf change`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Overwrite, Resume, scene_reading, takes
from .word_lists import ClassListCommand

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def change(
    before: Annotated[str, typer.Argument(help="Scene of the first date: a file or URL.")],
    after: Annotated[str, typer.Argument(help="Scene of the second date; another grid is resampled to the first.")],
    output: Annotated[Path, typer.Argument(help="Folder for the maps, one per class.")],
    *,
    classes: Annotated[
        list[str],
        typer.Option(
            metavar="NAME NAME ...",
            help="What to look for: words up to the next option, each with synonyms after commas.",
        ),
    ],
    pipeline: Annotated[
        str,
        typer.Option(
            help="Order of the steps: mci (find masks, compare dates, identify), or imc (identify objects first)."
        ),
    ] = "mci",
    proposals: Annotated[
        str, typer.Option(help="What finds masks: a SAM of the Hub or a folder, or superpixels (no weights).")
    ] = "facebook/sam-vit-huge",
    features: Annotated[
        str, typer.Option(help="What compares the dates: a vision model such as DINOv2 or an S5 encoder.")
    ] = "facebook/dinov2-base",
    recognition: Annotated[
        str,
        typer.Option(
            help="What knows the classes: an open-vocabulary or ordinary segmenter; for imc also a text detector."
        ),
    ] = "segearth-ov",
    least_angle: Annotated[
        str, typer.Option(help="Degrees by which the features must turn, or otsu to choose for each window.")
    ] = "35",
    land_cover: Annotated[
        bool, typer.Option("--land-cover", help="Count any change of class, not only objects on a background.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="Lowest probability of a class, 0 to 1.")] = 0.0,
    points: Annotated[int, typer.Option(help="Points per side of a window at which SAM looks.")] = 32,
    superpixel_area: Annotated[int, typer.Option(help="Pixels per superpixel.")] = 256,
    window: Annotated[int, typer.Option(help="Side of a window in pixels.")] = 1024,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again, 0 to 0.9.")] = 0.25,
    reading: "SceneReading",
    polygons: Annotated[
        str | None, typer.Option(help="Also write the objects as polygons: .gpkg or .geojson.")
    ] = None,
    dates: Annotated[
        str, typer.Option(metavar="BEFORE,AFTER", help="Dates of the scenes, written to the polygons.")
    ] = ",",
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Find what changed between two scenes of one place, by its name and without training.

    Each class gets a map: 0 unchanged, 1 came, 2 gone, 255 no data. `s5-hf view` shows it.

    - `s5-hf change 2019.tif 2024.tif changes --classes building,roof,house --polygons .gpkg`
    - `s5-hf change 2019.tif 2024.tif changes --recognition my-segmenter --features my-encoder \
      --proposals superpixels --classes building road`
    - `s5-hf change 2019.tif 2024.tif changes --pipeline imc --recognition IDEA-Research/grounding-dino-base \
      --classes building,house --threshold 0.1`
    """
    from ..change import EverythingSettings, SearchSettings, find_scene_changes, load_search
    from ..imaging import find_scenes

    find_scenes([before, after])  # a mistyped name is found before models are loaded
    day_before, comma, day_after = dates.partition(",")
    if not comma:
        raise typer.BadParameter(f"--dates takes two dates separated by a comma, got {dates!r}")
    settings = SearchSettings(
        pipeline=pipeline,
        proposals=proposals,
        features=features,
        recognition=recognition,
        least_angle=_angle(least_angle),
        land_cover=land_cover,
        threshold=threshold,
        everything=EverythingSettings(points_per_side=points),
        superpixel_area=superpixel_area,
    )
    result = find_scene_changes(
        load_search(classes, settings, device),
        before,
        after,
        output,
        name=repr(settings),
        window=window,
        overlap=overlap,
        reading=reading,
        polygons=polygons,
        dates=(day_before.strip(), day_after.strip()),
        resume=resume,
        overwrite=overwrite,
    )
    for label, path in result.maps.items():
        typer.echo(f"{path}\n  {label}: {result.objects[label]} objects changed")
        for area in result.areas[label]:
            ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
            typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")


def _angle(text: str) -> float | None:
    if text == "otsu":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"--least-angle takes degrees or otsu, got {text!r}") from None


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command(cls=ClassListCommand)(change)
