"""`s5-hf view`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

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
    before: Annotated[
        str | None,
        typer.Option(
            help="Earlier scene of the place, shown left of the divider; by default that of a map of changes."
        ),
    ] = None,
    bands: Bands = None,
    max_size: Annotated[
        int, typer.Option(help="Longer side of the overview in pixels; larger scenes get tiles to zoom into.")
    ] = 4096,
    tiles_in_page: Annotated[
        float, typer.Option(help="Megabytes of tiles kept inside the page; more of them go to a folder beside it.")
    ] = 24.0,
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
    lines: Annotated[
        Path | None,
        typer.Option(help="Lines to draw on top, such as the roads of `s5-hf roads`: .gpkg, .geojson or .graphml."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a folder of tiles that an earlier page left.")
    ] = False,
) -> None:
    """Write a page that shows an image and its class map with a divider between them, a legend and areas.

    The page is one HTML file that needs no network and no server: open it in a browser, or send it to somebody.
    Large scenes are shown as an overview that becomes sharp where you zoom in. If they are too large for one file, the
    page has a folder beside it, `<page>_viewer_tiles`, which goes with it.

    - `s5-hf view city_classes.tif`
    - `s5-hf view classes.png --image city.jpg --output city.html`
    - `s5-hf view city_classes.tif --with older_classes.tif --reference city_truth.tif`
    - `s5-hf view changes/2024_building_change.tif` shows both dates, 2019.tif and 2024.tif
    - `s5-hf view city_classes.tif --lines roads.gpkg`
    """
    from ..scenes.viewer import write_viewer

    report = write_viewer(
        result,
        output=output,
        image=image,
        before=before,
        bands=band_numbers(bands),
        max_size=max_size,
        title=title,
        maximum_pixels=maximum_pixels,
        others=other or (),
        reference=reference,
        tiles_in_page=tiles_in_page,
        overwrite=overwrite,
        lines=lines,
    )
    shown = "the scene is shown in full"
    if report.tiles:
        place = "inside the page" if report.folder is None else f"in the folder {report.folder}"
        shown = f"an overview reduced {report.factor} times, and {report.tiles} tiles {place}"
    typer.echo(f"{report.path}: {report.size / 1e6:.1f} MB, {shown}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(view)
