"""`s5-hf hyperspectral`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import Annotated

import typer

from .option_values import Overwrite, Resume
from .word_lists import ClassListCommand


def hyperspectral(
    cube: Annotated[Path, typer.Argument(help="Cube: ENVI, GeoTIFF, MATLAB (.mat), HDF5 or NetCDF 4 (.h5, .nc).")],
    output: Annotated[Path, typer.Argument(help="Map of classes to write, .tif or .png.")],
    *,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME NAME ...",
            help="What to look for: words up to the next option, each with synonyms after commas.",
        ),
    ] = None,
    segmenter: Annotated[
        str, typer.Option(help="What knows the classes by their names or has learned them: a folder or a name.")
    ] = "segearth-ov",
    first_labels: Annotated[
        Path | None,
        typer.Option(help="Map of uncertain labels in place of a segmenter: 0 for the first class, 255 for none."),
    ] = None,
    picture: Annotated[
        str,
        typer.Option(help="Picture for the segmenter: linear (640, 550 and 460 nm) or cie (as the eye sees)."),
    ] = "linear",
    picture_bands: Annotated[
        str | None,
        typer.Option(metavar="R,G,B", help="Bands of the picture, where a cube has no wavelengths."),
    ] = None,
    bands: Annotated[
        str | None, typer.Option(metavar="FROM-TO,...", help="Bands to use, from 1, such as 11-362; all by default.")
    ] = None,
    wavelengths: Annotated[
        Path | None, typer.Option(help="Text file with the wavelength of every band in nanometres.")
    ] = None,
    variable: Annotated[str | None, typer.Option(help="Name of the cube in a file that holds several.")] = None,
    nodata: Annotated[
        float | None, typer.Option(help="Value of pixels without data; by default the one stored in the file.")
    ] = None,
    network: Annotated[
        Path | None, typer.Option(help="Folder to keep the trained network in, for s5-hf push; else it is not kept.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Rounds of training; the second half refines the labels.")] = 20,
    window: Annotated[int, typer.Option(min=16, help="Largest side of the parts that a cube is cut into.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and draws.")] = 0,
    device: Annotated[str | None, typer.Option(help="Device of the segmenter, such as cuda:1 or cpu.")] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Map the classes of a hyperspectral cube by their names, without labels.

    A segmenter looks at a colour picture of the cube. A small network then learns its labels together with the full
    spectra, trusts them less and less, and draws the map. Beside it you find the map of the first labels.

    - `s5-hf hyperspectral pavia.hdr pavia.tif --classes water "tree,forest" meadow asphalt tile`
    - `s5-hf hyperspectral cube.mat map.png --first-labels first.png --classes soil crop water`
    """
    from ..hyperspectral import FirstLabels, SpecialRecipe, classify_cube, open_cube
    from ..predictors import load_segmenters

    of_bands = _numbers(picture_bands, "--picture-bands") if picture_bands else None
    chosen = _numbers(bands, "--bands") if bands else None
    recipe = SpecialRecipe()
    recipe.refinement.epochs, recipe.refinement.warmup_epochs = epochs, epochs // 2
    recipe.refinement.window, recipe.run.seed = window, seed
    with open_cube(cube, chosen, _read_wavelengths(wavelengths), variable, nodata) as opened:
        if first_labels is not None:
            first = FirstLabels(labels=classes or [], label_file=first_labels)
        else:
            loaded = load_segmenters(segmenter, devices=[device] if device else None, classes=classes)[0]
            first = FirstLabels(loaded, synthesis=picture, picture_bands=of_bands)
        result = classify_cube(opened, output, first, recipe, network=network, resume=resume, overwrite=overwrite)
    typer.echo(f"{result.files.classes.classes}")
    for area in result.areas:
        ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
        typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")
    typer.echo(f"{result.files.first.classes}: the first labels; {result.changed:.1%} of them are others now")


def _numbers(text: str, option: str) -> list[int]:
    """The numbers in a text such as `1,4-6`."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise typer.BadParameter(f"{option} takes numbers and ranges such as 1,4-6, got {text!r}")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _read_wavelengths(path: Path | None) -> list[float] | None:
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; expected the wavelengths of the bands in nanometres")
    try:
        return [float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"{path} must hold nothing but numbers, the wavelengths of the bands: {error}") from error


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command(cls=ClassListCommand)(hyperspectral)
