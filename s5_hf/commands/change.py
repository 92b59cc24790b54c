"""`s5-hf change`: what changed between two dates."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .change_sentences import load_fitting_captioner, write_captions
from .option_values import Overwrite, Resume, scene_reading, takes
from .word_lists import ClassListCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..change import SearchRecipe
    from ..scenes import SceneReading
    from ..scenes.segmentation.areas import ClassArea

NOTHING_TO_LOOK_FOR = (
    "name what to look for with --classes, or a recipe with --recipe; or give a trained model with --model"
)
Classes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME NAME ...",
        help="What to look for: words up to the next option, each with synonyms after commas.",
    ),
]


def print_recipes(asked: bool) -> None:
    """Answer `--list-recipes`."""
    if asked:
        from ..change import search_recipe_names

        typer.echo("\n".join(search_recipe_names()))
        raise typer.Exit


def search_options(
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Published or own settings: a name of --list-recipes such as sam_dinov2/s5-whu-cd, or a YAML file. "
            "The options below go before it."
        ),
    ] = None,
    list_recipes: Annotated[
        bool,
        typer.Option("--list-recipes", help="List the recipes.", callback=print_recipes, is_eager=True),
    ] = False,
    classes: Classes = None,
    pipeline: Annotated[
        str | None,
        typer.Option(
            help="Order of the steps: mci (find masks, compare dates, identify; the default), or imc (identify "
            "objects first)."
        ),
    ] = None,
    proposals: Annotated[
        str | None,
        typer.Option(
            help="What finds masks: a SAM of the Hub or a folder, by default facebook/sam-vit-huge, or superpixels "
            "(no weights)."
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="What compares the dates: a vision model, by default facebook/dinov2-base, or an S5 encoder."
        ),
    ] = None,
    recognition: Annotated[
        str | None,
        typer.Option(
            help="What knows the classes: an open-vocabulary segmenter, by default segearth-ov, or an ordinary one; "
            "for imc also a text detector."
        ),
    ] = None,
    least_angle: Annotated[
        str | None,
        typer.Option(
            help="Degrees by which the features must turn, by default 35, or otsu to choose for each window."
        ),
    ] = None,
    land_cover: Annotated[
        bool | None,
        typer.Option(
            "--land-cover/--objects", help="Count any change of class, or only objects on a background (the default)."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Lowest probability of a class, 0 to 1; 0 by default.")
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Points per side of a window at which SAM looks; 32 by default.")
    ] = None,
    superpixel_area: Annotated[int | None, typer.Option(help="Pixels per superpixel; 256 by default.")] = None,
) -> "SearchRecipe | None":
    """The search that the options describe, or None where none is given."""
    from dataclasses import replace

    from ..change import SearchRecipe, SearchSettings, read_search_recipe

    given = {
        "pipeline": pipeline,
        "proposals": proposals,
        "features": features,
        "recognition": recognition,
        "land_cover": land_cover,
        "threshold": threshold,
        "superpixel_area": superpixel_area,
    }
    if recipe is None and not classes:
        if any(value is not None for value in (*given.values(), least_angle, points)):
            raise typer.BadParameter(NOTHING_TO_LOOK_FOR)
        return None
    chosen = SearchRecipe((), SearchSettings()) if recipe is None else read_search_recipe(recipe)
    settings = replace(chosen.settings, **{name: value for name, value in given.items() if value is not None})
    if least_angle is not None:
        settings = replace(settings, least_angle=_angle(least_angle))
    if points is not None:
        settings = replace(settings, everything=replace(settings.everything, points_per_side=points))
    return replace(chosen, classes=tuple(classes or chosen.classes), settings=settings)


@takes(search=search_options, reading=scene_reading)
def change(
    before: Annotated[str, typer.Argument(help="Scene of the first date: a file or URL.")],
    after: Annotated[str, typer.Argument(help="Scene of the second date; another grid is resampled to the first.")],
    output: Annotated[Path, typer.Argument(help="Folder for the maps, one per class.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(help="A trained change detector, a folder or a Hub repository, in place of a search."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task of a trained model that has several.")] = None,
    search: "SearchRecipe | None",
    window: Annotated[
        int | None,
        typer.Option(help="Side of a window in pixels; that of the recipe, or else 1024; 512 for a trained model."),
    ] = None,
    overlap: Annotated[float, typer.Option(help="Share of a window that the next one covers again, 0 to 0.9.")] = 0.25,
    reading: "SceneReading",
    polygons: Annotated[
        str | None, typer.Option(help="Also write the objects as polygons: .gpkg or .geojson.")
    ] = None,
    dates: Annotated[
        str, typer.Option(metavar="BEFORE,AFTER", help="Dates of the scenes, written to the polygons.")
    ] = ",",
    align: Annotated[
        bool, typer.Option("--align", help="Move the second scene back if the whole of it is shifted by some pixels.")
    ] = False,
    translate: Annotated[
        str | None,
        typer.Option(
            help="A model of s5-hf train translation: first give the second scene the look of the first one."
        ),
    ] = None,
    match_colors: Annotated[
        bool,
        typer.Option(
            "--match-colors",
            help="First give each channel of the second scene the mean and deviation of the first one.",
        ),
    ] = False,
    caption: Annotated[
        str | None,
        typer.Option(help="A model of s5-hf train captioning: also write sentences, for parts of 256 pixels a side."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Device, such as cuda:1 or cpu; by default the first GPU.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
) -> None:
    """Find what changed between two scenes of one place: by its name and without training, or as a model learned it.

    Without training each class gets a map: 0 unchanged, 1 came, 2 gone, 255 no data. A trained model makes one map of
    its classes. `s5-hf view` shows both.

    - `s5-hf change 2019.tif 2024.tif changes --classes building,roof,house --polygons .gpkg`
    - `s5-hf change 2019.tif 2024.tif changes --recognition my-segmenter --features my-encoder \
      --proposals superpixels --classes building road`
    - `s5-hf change 2019.tif 2024.tif changes --recipe sam2_dinov2/s5-levir-cd`
    - `s5-hf change 2019.tif 2024.tif changes --model my-change-detector --polygons .gpkg`
    - `s5-hf change 2019.tif 2024.tif changes --model my-change-detector --caption my-captioner`
    - `s5-hf change 2019.tif 2024.tif changes --model my-change-detector --match-colors`
    - `s5-hf change 2019.tif 2024.tif changes --model my-change-detector --translate my-translator`
    - `s5-hf change 2019.tif 2024.tif changes --pipeline imc --recognition IDEA-Research/grounding-dino-base \
      --classes building,house --threshold 0.1`
    """
    from ..imaging import find_scenes
    from ..scenes.pair_looks import choose_look

    if (model is None) == (search is None):
        raise typer.BadParameter(
            NOTHING_TO_LOOK_FOR if model is None else "a trained model takes no options of a search"
        )
    find_scenes([before, after])  # a mistyped name is found before models are loaded
    day_before, comma, day_after = dates.partition(",")
    if not comma:
        raise typer.BadParameter(f"--dates takes two dates separated by a comma, got {dates!r}")
    look = choose_look(translate, match_colors, device)
    common = {"reading": reading, "align": align, "resume": resume, "overwrite": overwrite}
    captioner = None if caption is None else load_fitting_captioner(caption, before, after, reading, device)
    if search is None:
        if day_before or day_after:
            raise typer.BadParameter(
                "--dates are written to the objects of a search, not to the areas of a trained model"
            )
        where = (model, before, after, output, task, window or 512, overlap, polygons, device)
        made = map_with_model(*where, {**common, "look": look})
        write_captions(captioner, before, after, output, [made], dates, common)
        return
    if task is not None:
        raise typer.BadParameter("--task is for a trained model (--model)")
    from ..change import find_scene_changes, load_search

    result = find_scene_changes(
        load_search(search.classes, search.settings, device),
        before,
        after,
        output,
        name=repr(search.settings),
        window=search.window if window is None else window,
        overlap=overlap,
        polygons=polygons,
        dates=(day_before.strip(), day_after.strip()),
        look=look,
        **common,
    )
    for label, path in result.maps.items():
        typer.echo(f"{path}\n  {label}: {result.objects[label]} objects changed")
        print_areas(result.areas[label])
    write_captions(captioner, before, after, output, list(result.maps.values()), dates, common)


def map_with_model(
    model: str,
    before: str,
    after: str,
    output: Path,
    task: str | None,
    window: int,
    overlap: float,
    polygons: str | None,
    device: str | None,
    common: dict[str, Any],
) -> Path:
    """Map the changes that a trained model sees, and print their areas; the map."""
    from ..change import map_scene_changes
    from ..scenes import MapProducts, WindowSettings

    result = map_scene_changes(
        model,
        before,
        after,
        output,
        task=task,
        settings=WindowSettings(window=window, overlap=overlap),
        products=MapProducts(polygons=polygons),
        devices=None if device is None else [device],
        **common,
    )
    typer.echo(str(result.files.classes))
    print_areas(result.areas)
    return result.files.classes


def print_areas(areas: "Sequence[ClassArea]") -> None:
    """Print what each value of a map covers."""
    for area in areas:
        ground = "" if area.square_metres is None else f"{area.square_metres:16,.0f} m²"
        typer.echo(f"  {area.label:20} {area.share:6.1%} {area.pixels:14,} px{ground}")


def _angle(text: str) -> float | None:
    if text == "otsu":
        return None
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"--least-angle takes degrees or otsu, got {text!r}") from None


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command(cls=ClassListCommand)(change)
