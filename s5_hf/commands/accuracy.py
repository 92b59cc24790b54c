"""`s5-hf sample-points` and `accuracy`: how good a map is, from points or from a reference of a whole area."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import Annotated

import typer

from .option_values import IgnoreUnknown, class_values


def register(app: typer.Typer) -> None:
    """Add the commands of this file to the command line."""
    app.command("sample-points")(sample_points_command)
    app.command("accuracy")(accuracy_command)


def sample_points_command(
    class_map: Annotated[Path, typer.Argument(metavar="MAP", help="Class map: GeoTIFF or PNG.")],
    output: Annotated[Path, typer.Option(help="File for the points, .gpkg or .csv.")] = Path("points.gpkg"),
    count: Annotated[int, typer.Option(min=1, help="Number of points.")] = 300,
    minimum: Annotated[int, typer.Option(min=1, help="Points in each class, at least.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the choice.")] = 0,
) -> None:
    """Draw random points in each class of a map, for people to say what is really there.

    Classes get points in proportion to their area, and at least `--minimum`. Fill the empty field `reference` with the
    class that you see in the image or on the ground, without looking at the map. The file is then a reference for
    the command `s5-hf accuracy`.

        s5-hf sample-points city-map.tif --count 400 --output points.gpkg
    """
    from ..evaluation import sample_points

    sample = sample_points(class_map, output, count, minimum, seed)
    for name, number in sample.points.items():
        typer.echo(f"{name}: {number} points, {sample.pixels[name]:,} pixels")
    typer.echo(f"points: {sample.path}")


def accuracy_command(
    class_map: Annotated[
        Path, typer.Argument(metavar="MAP", help="Class map (GeoTIFF or PNG), or a folder of maps of s5-hf predict.")
    ],
    reference: Annotated[
        list[str], typer.Argument(help="Polygons (GeoPackage, GeoJSON, Shapefile), rasters, or points (also CSV).")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the report and the map of errors.")] = Path("accuracy"),
    attribute: Annotated[
        str | None, typer.Option(help="Field of the reference that holds the class; of points 'reference' by default.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a file of polygons that has several.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=VALUE|VALUE,...",
            help="Values of the reference that mean a class of the map: road=street|path.",
        ),
    ] = None,
    unlabelled: Annotated[
        str, typer.Option(help="What lies in no polygon: 'ignore' (not compared), or the name of a class.")
    ] = "ignore",
    all_touched: Annotated[
        bool, typer.Option("--all-touched", help="Compare all pixels that a polygon touches, not by their centres.")
    ] = False,
    ignore_unknown: IgnoreUnknown = False,
) -> None:
    """Compare a map with what is really there: user's and producer's accuracy, F1, overall accuracy, areas.

    Polygons and rasters are compared pixel by pixel, and `errors.tif` shows where the map is wrong. From points, drawn
    by `s5-hf sample-points`, accuracy and the area of each class are estimated with confidence intervals, as Olofsson
    et al. (2014) recommend.

        s5-hf accuracy city-map.tif reference.gpkg --attribute class --output accuracy

        s5-hf accuracy city-map.tif points.gpkg

        s5-hf accuracy maps data/city/test/masks --output accuracy
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from ..evaluation import ReferenceSettings, assess_accuracy

    values = None if classes is None else class_values(classes)
    settings = ReferenceSettings(values, attribute, layer, unlabelled, all_touched, ignore_unknown)
    result = assess_accuracy(class_map, reference, output, settings)
    Console().print(Markdown(result.as_markdown()))
    typer.echo(f"report: {output}")
