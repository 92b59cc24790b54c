"""`s5-hf view`."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    result: Annotated[
        Path, typer.Argument(help="Class map from `s5-hf predict`, or any GeoTIFF or PNG of class ids.")
    ],
    output: Annotated[Path | None, typer.Option(help="Page to write; by default beside the class map.")] = None,
    image: Annotated[
        str | None, typer.Option(help="The scene; by default the one the class map was made from.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands of the scene as red, green and blue, such as 4,3,2.")
    ] = None,
    max_size: Annotated[int, typer.Option(help="Longer side of the embedded pictures in pixels.")] = 4096,
    title: Annotated[str | None, typer.Option(help="Heading; by default the name of the class map.")] = None,
) -> None:
    """Write one HTML file that shows image and prediction with a divider between them, legend and areas.

    The page needs no network and no server: open it, or send it to somebody.

    - `s5-hf view city_classes.tif`
    - `s5-hf view classes.png --image city.jpg --output city.html`
    """
    from ..inference.viewer import write_viewer

    report = write_viewer(result, output, image, parse_bands(bands), max_size, title)
    shown = "in full" if report.factor == 1 else f"reduced {report.factor} times"
    typer.echo(f"{report.path}: {report.size / 1e6:.1f} MB, the scene is shown {shown}")


def parse_bands(text: str | None) -> list[int] | None:
    """Numbers separated by commas.

    Raises:
        ValueError: for anything else.
    """
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise ValueError(f"bands are numbers separated by commas, such as 4,3,2, got {text!r}") from error


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(view)
