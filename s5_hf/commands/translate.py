"""`s5-hf translate`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Overwrite, Resume, scene_reading, takes

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def translate(
    model: Annotated[str, typer.Argument(help="Translator: a folder or a Hub repository.")],
    scene: Annotated[str, typer.Argument(help="Scene of one date: a file or URL.")],
    output: Annotated[Path, typer.Argument(help="The scene with the look of the other date, .tif or .png, 8 bits.")],
    *,
    to: Annotated[
        str, typer.Option(help="Date whose look the scene gets: after (it is of the first date) or before.")
    ] = "after",
    window: Annotated[int, typer.Option(help="Side of a window in pixels, a multiple of 16.")] = 512,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again, 0 to 0.9.")] = 0.5,
    batch_size: Annotated[int, typer.Option(help="Windows per forward pass.")] = 1,
    reading: "SceneReading",
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Give a scene of any size the season, light or sensor of another date. Memory does not grow with its height.

    Before a search for changes, the second date can be translated to the look of the first; `s5-hf change
    --translate` does both.

    - `s5-hf translate my-translator 2024.tif 2024_like_2019.tif --to before`
    - `s5-hf translate my-translator city.jpg city_winter.png --window 256 --overlap 0.25`
    """
    from ..imaging import find_scenes
    from ..predictors.torch_translator import load_translator
    from ..scenes import WindowSettings, translate_scene

    (found,) = find_scenes([scene])  # a mistyped name is found before the model is loaded
    settings = WindowSettings(window=window, overlap=overlap, batch_size=batch_size)
    typer.echo(
        translate_scene(
            load_translator(model, to, device),
            found,
            output,
            settings,
            reading=reading,
            resume=resume,
            overwrite=overwrite,
        )
    )


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(translate)
