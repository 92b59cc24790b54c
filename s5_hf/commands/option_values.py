"""Options that commands share, and values that hold several words or numbers separated by commas.

What several commands offer is defined here once: a single option as a type, a group of them as a function that makes
one value of all (see `takes`). Otherwise commands look alike because typer reads the options from their signatures.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..imaging.rasters import Scaling
    from ..scenes.reading import SceneReading

Task = Annotated[str | None, typer.Option(help="Task to use, for a model that has several.")]
Flips = Annotated[
    str,
    typer.Option(help="Mirrored views to predict and combine: any of none, horizontal, vertical, both, with commas."),
]
Scales = Annotated[str, typer.Option(help="Image scales to predict and average, such as 0.75,1,1.25.")]
Precision = Annotated[
    str,
    typer.Option(
        help="Number format of the network: fp32, bf16 (faster where the processor or the GPU has it), auto: bf16 "
        "there and fp32 elsewhere, or auto-gpu: bf16 on a GPU that has it and fp32 elsewhere."
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(metavar="R,G,B", help="Bands that become the channels, counted from 1, such as 4,3,2 for RGB."),
]
Percentiles = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH",
        help="Percentiles of each band that become black and white, where values are not 8-bit; 2,98 by default.",
    ),
]
ValueRange = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH", help="Fixed values that become black and white, such as 0,3000, in place of percentiles."
    ),
]
Nodata = Annotated[
    float | None, typer.Option(help="Value of pixels without data; by default the one stored in the file.")
]
MaximumPixels = Annotated[
    int | None,
    typer.Option(min=1, help="Largest PNG, JPEG or similar file to decode, in pixels; 1,000,000,000 by default."),
]
Asset = Annotated[str | None, typer.Option(help="Image to read of a scene that is a STAC item (.json).")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume interrupted scenes and leave finished ones as they are.")
]
IgnoreUnknown = Annotated[
    bool, typer.Option("--ignore-unknown", help="Leave polygons and pixels of no class out; refused otherwise.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


def takes(**groups: Callable[..., object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Put the options of functions in the place of a command's parameters, which take what the functions return.

        @takes(reading=scene_reading)
        def predict(..., reading: "SceneReading", ...): ...

    Annotations are read as objects, so neither module may postpone them by `from __future__ import annotations`.

    Args:
        **groups: from the name of a parameter of the command to the function whose options stand for it.
    """
    options = {name: inspect.signature(function).parameters for name, function in groups.items()}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = [
            option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(command).parameters.values()
            for option in options.get(parameter.name, {parameter.name: parameter}).values()
        ]

        @wraps(command)
        def with_options(**values: object) -> None:
            for name, function in groups.items():
                values[name] = function(**{option: values.pop(option) for option in options[name]})
            command(**values)

        with_options.__signature__ = inspect.Signature(parameters)
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate


def words(text: str) -> list[str]:
    """The parts of a list separated by commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str, option: str) -> list[float]:
    """The numbers of a list separated by commas.

    Raises:
        typer.BadParameter: one of them is not a number.
    """
    try:
        return [float(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes numbers separated by commas, got {text!r}") from error


def integers(text: str, option: str) -> list[int]:
    """The whole numbers of a list separated by commas.

    Raises:
        typer.BadParameter: one of them is not a whole number.
    """
    try:
        return [int(word) for word in words(text)]
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes whole numbers separated by commas, got {text!r}") from error


def pair(text: str, option: str) -> tuple[float, float]:
    """Two numbers separated by a comma.

    Raises:
        typer.BadParameter: there are not exactly two.
    """
    values = numbers(text, option)
    if len(values) != 2:
        raise typer.BadParameter(f"{option} takes two numbers separated by a comma, got {text!r}")
    return values[0], values[1]


def band_choice(text: str | None) -> tuple[int | str, ...] | None:
    """The bands of `--bands`, whole numbers from 1 or names; None if the option is not given.

    Raises:
        typer.BadParameter: one is a number below 1, or there are none.
    """
    if text is None or all(word.lstrip("-").isdigit() for word in words(text)):
        return band_numbers(text)
    if not all(word and " " not in word for word in words(text)):
        raise typer.BadParameter(f"--bands takes numbers from 1 or names, separated by commas; got {text!r}")
    return tuple(int(word) if word.isdigit() else word for word in words(text))


def band_numbers(text: str | None) -> tuple[int, ...] | None:
    """The bands of `--bands`, whole numbers from 1; None if the option is not given.

    Raises:
        typer.BadParameter: one of them is not.
    """
    if text is None:
        return None
    try:
        bands = tuple(int(word) for word in words(text))
    except ValueError:
        bands = ()
    if not bands or min(bands) < 1:
        raise typer.BadParameter(
            f"--bands takes whole numbers from 1, separated by commas, such as 4,3,2; got {text!r}"
        )
    return bands


def class_values(text: str) -> dict[str, list[str]]:
    """The classes of `--classes` with the values that mean each: `road=street|path,water` gives two classes.

    Raises:
        typer.BadParameter: a class is named twice, or a name or a value is empty.
    """
    found: dict[str, list[str]] = {}
    for word in words(text):
        name, equals, values = (part.strip() for part in word.partition("="))
        meant = [value.strip() for value in values.split("|")] if equals else [name]
        if not name or not all(meant) or name in found:
            raise typer.BadParameter(
                f"--classes takes different names, and after = the values that mean one, separated by |; got {word!r}"
            )
        found[name] = meant
    return found


def scaling_of(percentiles: Percentiles = None, value_range: ValueRange = None) -> "Scaling | None":
    """The scaling of `--percentiles` and `--value-range`; None if neither is given.

    Raises:
        typer.BadParameter: one of them is not two numbers.
        ValueError: the numbers are out of range or do not rise.
    """
    from ..imaging.rasters import Scaling

    if percentiles is None and value_range is None:
        return None
    return Scaling(
        Scaling.percentiles if percentiles is None else pair(percentiles, "--percentiles"),
        None if value_range is None else pair(value_range, "--value-range"),
    )


def scene_reading(
    bands: Bands = None,
    percentiles: Percentiles = None,
    value_range: ValueRange = None,
    nodata: Nodata = None,
    maximum_pixels: MaximumPixels = None,
    asset: Asset = None,
) -> "SceneReading":
    """How scenes are read, from the options of these names; raises as `band_choice` and `scaling_of`."""
    from ..scenes.reading import SceneReading

    return SceneReading(band_choice(bands), scaling_of(percentiles, value_range), nodata, maximum_pixels, asset)
