"""`s5-hf prepare-scenes`: scenes with polygons or rasters of classes to tiles for training."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import IgnoreUnknown, band_numbers, class_values, words

if TYPE_CHECKING:
    from ..preparation import PreparedScenes


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("prepare-scenes")(prepare_scenes_command)


def prepare_scenes_command(
    scenes: Annotated[list[str], typer.Argument(help="Scenes: GeoTIFF, COG or VRT files, folders, or patterns.")],
    labels: Annotated[
        list[str],
        typer.Option(help="File of polygons (GeoPackage, GeoJSON, Shapefile), or a raster of classes (repeatable)."),
    ],
    classes: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME...",
            help="Classes in the order of their ids; the values that mean a class may follow it: road=street|path.",
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder for the tiles, later the `data_dir` of the dataset.")],
    attribute: Annotated[str | None, typer.Option(help="Field of the polygons that holds the class.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a file of polygons that has several.")] = None,
    unlabelled: Annotated[
        str, typer.Option(help="What lies in no polygon: 'ignore' (unknown), or the name of a class.")
    ] = "ignore",
    priority: Annotated[
        str | None, typer.Option(help="Classes from the top downwards where polygons overlap, separated by commas.")
    ] = None,
    all_touched: Annotated[
        bool, typer.Option("--all-touched", help="Label all pixels that a polygon touches, not by their centres.")
    ] = False,
    ignore_unknown: IgnoreUnknown = False,
    areas: Annotated[
        Path | None, typer.Option(help="File of polygons outside of which nothing counts as labelled.")
    ] = None,
    tile_size: Annotated[int, typer.Option(min=16, help="Side of a tile in pixels.")] = 512,
    overlap: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of its side that a tile has in common with the next.")
    ] = 0.0,
    bands: Annotated[
        str | None, typer.Option(help="Bands of the tiles, counted from 1, such as 3,2,1,4; all by default.")
    ] = None,
    nodata: Annotated[
        float | None, typer.Option(help="Value of pixels without data; by default the one stored in each scene.")
    ] = None,
    keep_unlabelled: Annotated[
        bool, typer.Option("--keep-unlabelled", help="Keep tiles without any labelled pixel.")
    ] = False,
    split: Annotated[str, typer.Option(help="What goes to one part as a whole: 'blocks' of scenes, or 'scenes'.")] = (
        "blocks"
    ),
    val_share: Annotated[float, typer.Option(help="Share of the labelled ground for validation, 0 for none.")] = 0.15,
    test_share: Annotated[float, typer.Option(help="Share of the labelled ground for the test, 0 for none.")] = 0.15,
    val_scenes: Annotated[
        list[str] | None, typer.Option(help="Name or pattern of scenes for validation, without suffix (repeatable).")
    ] = None,
    test_scenes: Annotated[
        list[str] | None, typer.Option(help="Name or pattern of scenes for the test, without suffix (repeatable).")
    ] = None,
    block_tiles: Annotated[
        int | None, typer.Option(min=1, help="Side of a block in tiles; 4, 2 or 1 by default, for enough blocks.")
    ] = None,
    gap: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels between tiles of different parts; an eighth of a tile by default."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of blocks.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per core if not given.")] = None,
) -> None:
    """Cut scenes with labels into tiles for training, validation and test.

    Labels are polygons with a class each, or rasters of class values. Tiles keep the bands, the type and the place of
    their scene, and no tile of the test touches one of the training. `OUTPUT/report.html` shows counts, class shares
    and tiles; `OUTPUT/dataset.json` holds the classes, so that later commands need not be told. Shows its progress and
    resumes after a stop.

        s5-hf prepare-scenes scenes --labels labels.gpkg --attribute class --classes field,building,road \\
            --output data/city

        s5-hf prepare-scenes 2023_*.tif --labels houses.gpkg --classes other,house --unlabelled other \\
            --output data/houses

        s5-hf prepare-scenes scenes --labels use.gpkg --attribute code --classes "forest=311|312,water=511" \\
            --ignore-unknown --test-scenes "north_*" --output data/use
    """
    from ..preparation import LabelSettings, SplitSettings, TileSettings, prepare_scenes

    label_settings = LabelSettings(
        class_values(classes), attribute, layer, unlabelled, words(priority or ""), all_touched, ignore_unknown
    )
    tiles = TileSettings(tile_size, overlap, band_numbers(bands), nodata, keep_unlabelled)
    shares = SplitSettings(split, val_share, test_share, block_tiles, gap, val_scenes or (), test_scenes or (), seed)
    _print_summary(prepare_scenes(scenes, labels, output, label_settings, tiles, shares, areas, workers))


def _print_summary(result: PreparedScenes) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result.folder}: tiles, and share of the labelled pixels")
    table.add_column("")
    for part in result.parts:
        table.add_column(part.part, justify="right")
    table.add_row("tiles", *(f"{part.tiles:,}" for part in result.parts))
    table.add_row("left out", *(f"{part.empty:,}" for part in result.parts))
    table.add_section()
    for name in result.classes:
        table.add_row(name, *(f"{part.share(name):.2%}" for part in result.parts))
    console = Console()
    console.print(table)
    if result.skipped:
        console.print(f"{result.skipped} blocks of tiles were finished by an earlier run.")
    for warning in result.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True, markup=False, highlight=False)
    console.print(f"report: {result.folder / 'report.html'}", soft_wrap=True, markup=False, highlight=False)
