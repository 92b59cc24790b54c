"""`s5-hf view`."""

from pathlib import Path
from typing import Annotated

import typer

from .option_values import Bands, MaximumPixels, band_numbers


def view(
    result: Annotated[
        Path, typer.Argument(help="Class map to show: from `s5-hf predict`, or any GeoTIFF or PNG of class ids.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Page to write, an .html file; by default beside the class map.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Image of the scene; by default the one that the class map was made from.")
    ] = None,
    bands: Bands = None,
    max_size: Annotated[int, typer.Option(help="Longer side of the embedded pictures in pixels.")] = 4096,
    title: Annotated[
        str | None, typer.Option(help="Heading of the page; by default the name of the class map.")
    ] = None,
    maximum_pixels: MaximumPixels = None,
    other: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Another class map of the scene, to compare (repeatable); choose left and right."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Class map that is right; the page shows where the result differs from it.")
    ] = None,
) -> None:
    """Write a page that shows an image and its class map with a divider between them, a legend and areas.

    The page is one HTML file that needs no network and no server: open it in a browser, or send it to somebody.

    - `s5-hf view city_classes.tif`
    - `s5-hf view classes.png --image city.jpg --output city.html`
    - `s5-hf view city_classes.tif --with older_classes.tif --reference city_truth.tif`
    """
    from ..scenes.viewer import write_viewer

    report = write_viewer(
        result, output, image, band_numbers(bands), max_size, title, maximum_pixels, other or (), reference
    )
    shown = "in full" if report.factor == 1 else f"reduced {report.factor} times"
    typer.echo(f"{report.path}: {report.size / 1e6:.1f} MB, the scene is shown {shown}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(view)
