"""`s5-hf mosaic`."""

from pathlib import Path
from typing import Annotated

import typer

from .option_values import Overwrite


def mosaic(
    maps: Annotated[list[Path], typer.Argument(help="Maps of `s5-hf predict`, GeoTIFFs of the same classes.")],
    output: Annotated[Path, typer.Argument(help="Map to write, a .tif file.")],
    *,
    blend: Annotated[
        int, typer.Option(help="Pixels from the border of a map at which it has its full weight.", min=1)
    ] = 256,
    cog: Annotated[bool, typer.Option("--cog", help="Write a cloud optimized GeoTIFF.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Join maps of neighbouring scenes into one, with borders that blend where the maps overlap.

    If the maps were made with `--probabilities`, these are averaged; otherwise each map votes for its class. A map
    counts less towards its border. Maps in another CRS or on another grid are resampled to that of the first one.

    - `s5-hf mosaic maps/east.tif maps/west.tif city.tif --cog`
    """
    from ..scenes.segmentation import write_mosaic

    areas = write_mosaic([*maps], output, blend, cog, overwrite, report=typer.echo)
    typer.echo(output)
    for area in sorted(areas, key=lambda area: -area.pixels):
        ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
        typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(mosaic)
