"""`s5-hf evaluate`: a model's scores on a split of a dataset, with a report."""

# Options look alike because typer reads them from the signatures; what is shared is in option_values.py.

from pathlib import Path
from typing import Annotated

import typer

from .option_values import Precision, numbers, words
from .word_lists import ClassListCommand


def register(app: typer.Typer) -> None:
    """Add the command of this file to the command line."""
    app.command("evaluate", cls=ClassListCommand)(evaluate_command)


def evaluate_command(
    model: Annotated[str, typer.Argument(help="Model to evaluate: a folder, a Hub repository or a known name.")],
    dataset: Annotated[str, typer.Option(help="Dataset to evaluate on, one of those that `s5-hf datasets` lists.")],
    data_dir: Annotated[str, typer.Option(help="Folder, hf:// path or http(s) URL with the files of the dataset.")],
    split: Annotated[
        str | None, typer.Option(help="Split of the dataset; by default the one of the published numbers.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task of a model that has several; by default the one named as the dataset.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("evaluation"),
    protocol: Annotated[
        str, typer.Option(help="How images are predicted: published, official, original, resize or sliding.")
    ] = "published",
    resize: Annotated[int | None, typer.Option(min=1, help="Resize images to this side in pixels, and back.")] = None,
    window: Annotated[int | None, typer.Option(min=1, help="Side of the sliding window in pixels.")] = None,
    stride: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Pixels from one window to the next; by default half a window (detection: a window less 200/1024).",
        ),
    ] = None,
    flips: Annotated[
        str | None,
        typer.Option(help="Mirrored views to combine: any of none, horizontal, vertical, both, with commas."),
    ] = None,
    scales: Annotated[
        str | None, typer.Option(help="Image scales to predict and average, such as 0.75,1,1.25.")
    ] = None,
    left_out: Annotated[
        list[str] | None, typer.Option(help="Class that is left out of the means (repeatable).")
    ] = None,
    leave_out_absent: Annotated[
        bool,
        typer.Option("--leave-out-absent", help="Leave classes that no mask of the split shows out of the means."),
    ] = False,
    class_maps: Annotated[
        Path | None, typer.Option(help="Folder for the predictions as PNG files, as the LoveDA server takes them.")
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(help="Folder for the objects of a detector as DOTA's Task 1 files, as its server takes them."),
    ] = None,
    by_position: Annotated[
        bool,
        typer.Option("--by-position", help="Accept other class names than those of the dataset, in the same order."),
    ] = False,
    apply_class_map: Annotated[
        bool | None,
        typer.Option(
            "--apply-class-map/--no-class-map",
            help="Translate masks by the model's class map; by default on the dataset it was trained on.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME NAME ...",
            help="Names for an open-vocabulary model in the order of the dataset's classes, each with synonyms after "
            "commas; all words up to the next option. By default those of the model, or else the published ones.",
        ),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(help="Version of the published names for an open-vocabulary model: v1 or v2."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Prompt of a model that answers questions: reasoning, or referring for words that refer to "
            "something; by default what suits the dataset."
        ),
    ] = None,
    beams: Annotated[int, typer.Option(min=1, help="Beams of the search of a model that writes captions.")] = 1,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of images of one size per forward pass.")] = 1,
    num_workers: Annotated[int, typer.Option(min=0, help="Number of processes that read images.")] = 0,
    precision: Precision = "fp32",
    boundary: Annotated[bool, typer.Option(help="Also compute Boundary IoU.")] = True,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Option of the dataset as name=value (repeatable); the value is JSON or text."),
    ] = None,
) -> None:
    """Evaluate a model on a dataset, as its published numbers were obtained or otherwise.

    The report is a JSON file, a Markdown file and a picture: the confusion matrix of a segmenter, precision over
    recall of a detector, or the first samples of a model that answers questions (gIoU, cIoU, P@t), writes captions
    (BLEU, METEOR, ROUGE-L, CIDEr-D) or translates dates (PSNR); a further file tells what the first two made of each
    sample. For maps of hyperspectral cubes see `s5-hf accuracy`.

    - `s5-hf evaluate my-segmenter --dataset s5-image-mask --data-dir my-tiles --protocol sliding --stride 128`
    - `s5-hf evaluate s5-vit-b-moe --dataset s5-potsdam --data-dir data/potsdam`
    - `s5-hf evaluate s5-vit-b-moe --dataset s5-loveda --data-dir LoveDA --split test --class-maps submission`
    - `s5-hf evaluate my-open-model --dataset s5-loveda --data-dir LoveDA`
    - `s5-hf evaluate s5-vit-b-moe-det --dataset s5-dior-r --data-dir DIOR-R`
    - `s5-hf evaluate my-change-detector --dataset s5-image-pair-mask --data-dir my-pairs --split val`
    - `s5-hf evaluate my-reasoner --dataset s5-earthreason --data-dir data/EarthReason --split val`
    - `s5-hf evaluate my-captioner --dataset s5-levir-cc --data-dir data/LEVIR-CC --beams 3`
    - `s5-hf evaluate my-translator --dataset s5-image-pair-mask --data-dir my-pairs --split val`
    - `s5-hf evaluate s5-vit-b-moe-det --dataset s5-dota --data-dir DOTA --split test --detections submission`

    To use many processes: `accelerate launch examples/evaluate_model.py`.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from s5_hf.commands.datasets import builder_options
    from s5_hf.evaluation import EvaluationSettings, LoopSettings, run_evaluation

    changes = {
        "resize": resize,
        "window": window,
        "stride": stride,
        "flips": tuple(words(flips)) if flips else None,
        "scales": tuple(numbers(scales, "--scales")) if scales else None,
    }
    results = run_evaluation(
        EvaluationSettings(
            model=model,
            dataset=dataset,
            data_dir=data_dir,
            split=split,
            task=task,
            output=output,
            protocol=protocol,
            protocol_changes=changes,
            left_out=tuple(left_out) if left_out else None,
            leave_out_absent=leave_out_absent,
            by_position=by_position,
            apply_class_map=apply_class_map,
            options=builder_options(option or []),
            precision=precision,
            classes=tuple(classes) if classes else None,
            names=names,
            kind=kind,
            beams=beams,
            loop=LoopSettings(batch_size, num_workers, boundary, class_maps, detections),
        )
    )
    Console().print(Markdown(results.as_markdown()))
    typer.echo(f"report: {output}")
