"""`s5-hf evaluate-change`: how well changes are found without training."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .change import search_options
from .option_values import takes
from .word_lists import ClassListCommand

if TYPE_CHECKING:
    from ..change import SearchRecipe


@takes(search=search_options)
def evaluate_change(
    *,
    data_dir: Annotated[str, typer.Option(help="Folder, hf:// path or http(s) URL with the files of the dataset.")],
    search: "SearchRecipe | None",
    dataset: Annotated[
        str | None, typer.Option(help="Dataset of pairs; by default the one that the recipe was published for.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the dataset; by default the one of the published numbers.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Class of SECOND that is scored; by default that of the recipe.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("change-evaluation"),
    option: Annotated[
        list[str] | None,
        typer.Option(help="Option of the dataset as name=value (repeatable); the value is JSON or text."),
    ] = None,
) -> None:
    """Score a search for changes without training on a labelled dataset: F1 and IoU of the pixels that changed.

    Pairs are searched whole, as published. For many processes: `accelerate launch -m s5_hf.cli evaluate-change ...`.

    - `s5-hf evaluate-change --dataset s5-image-pair-mask --data-dir my-pairs --recognition my-segmenter \
      --features my-encoder --proposals superpixels --classes building`
    - `s5-hf evaluate-change --recipe sam_dinov2/s5-levir-cd --data-dir data/levir-cd`
    - `s5-hf evaluate-change --recipe sam2_dinov2/s5-second/water --data-dir data/SECOND --split test`
    """
    from ..change import ChangeTask, evaluate_changes, load_search
    from ..files.processes import patient_accelerator
    from .datasets import builder_options

    if search is None:
        raise typer.BadParameter("name what to look for with --classes, or a recipe with --recipe")
    dataset = dataset or search.dataset
    if not dataset:
        raise typer.BadParameter("name the dataset with --dataset, or a recipe that was published for one")
    target = search.target if target is None else target
    task = ChangeTask(dataset, data_dir, split, target, builder_options(option or []))
    accelerator = patient_accelerator()
    loaded = load_search(search.classes, search.settings, accelerator.device)
    scores = evaluate_changes(loaded, task, accelerator, f"{', '.join(search.classes)}: {search.settings}")
    if accelerator.is_main_process:
        scores.write(output)
        typer.echo(scores.as_markdown())
        typer.echo(f"report: {output}")
    accelerator.end_training()


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command("evaluate-change", cls=ClassListCommand)(evaluate_change)
