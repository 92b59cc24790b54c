"""`s5-hf ask`."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .option_values import Overwrite, Resume, scene_reading, takes

if TYPE_CHECKING:
    from ..scenes import SceneReading


@takes(reading=scene_reading)
def ask(
    model: Annotated[str, typer.Argument(help="Network that answers questions: a folder or a Hub repository.")],
    scene: Annotated[str, typer.Argument(help="Scene to look at: a file or URL.")],
    question: Annotated[str, typer.Argument(help="What to look for, in words, such as 'where could a boat float?'.")],
    output: Annotated[Path, typer.Argument(help="The mask, .tif or .png: 1 on the answer, 0 elsewhere, 255 no data.")],
    *,
    kind: Annotated[
        str, typer.Option(help="How the model was trained: reasoning (questions) or referring (words that refer).")
    ] = "reasoning",
    window: Annotated[
        int | None,
        typer.Option(
            help="Side of a window in pixels, a multiple of 16, best as large as the training images; by default "
            "that of the network's own images."
        ),
    ] = None,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again, 0 to 0.9.")] = 0.25,
    least: Annotated[
        float,
        typer.Option(
            help="The whole scene is looked at first, reduced. Places with this probability are looked at again in "
            "detail; 0 looks everywhere."
        ),
    ] = 0.1,
    reading: "SceneReading",
    polygons: Annotated[
        str | None, typer.Option(help="Also write the answer as polygons: a .gpkg or .geojson file, or the suffix.")
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write a picture of scene and answer, reduced for big scenes.")
    ] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write the probability of the answer, as 0 to 254.")
    ] = False,
    minimum_area: Annotated[
        float, typer.Option(help="Smallest region of the mask, in m² (in pixels if the scene has no CRS).")
    ] = 0.0,
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Ask a question about a scene of any size, and get a mask. Memory does not grow with the scene's height.

    - `s5-hf ask my-reasoner city.tif "where would a helicopter land?" fields.tif --polygons .geojson --overlay`
    - `s5-hf ask my-reasoner city.tif "the red roofs north of the river" roofs.tif --least 0 --overlap 0.5`
    """
    from ..imaging import find_scenes
    from ..predictors.question_segmenter import load_reasoner
    from ..scenes import MapProducts, ask_scene

    (found,) = find_scenes([scene])  # a mistyped name is found before the model is loaded
    result = ask_scene(
        load_reasoner(model, question, kind, device),
        found,
        output,
        window=window,
        overlap=overlap,
        least=least,
        products=MapProducts(
            probabilities=probabilities,
            overlay=overlay,
            polygons=polygons,
            polygon_classes=["answer"],
            minimum_area=minimum_area,
        ),
        reading=reading,
        resume=resume,
        overwrite=overwrite,
    )
    for path in result.files.paths():
        typer.echo(path)
    for area in result.areas:
        ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
        typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(ask)
