"""`s5-hf export`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        str, typer.Argument(help="Segmenter or detector to export: a folder, a Hub repository or a known name.")
    ],
    output: Annotated[Path, typer.Argument(help="File to write, ending in .onnx, or in .pt2 for torch-export.")],
    file_format: Annotated[str, typer.Option("--format", help="Format of the file: onnx or torch-export.")] = "onnx",
    task: Annotated[str | None, typer.Option(help="Task to export, for a model that has several.")] = None,
    suppression: Annotated[
        str,
        typer.Option(
            help="Of a detector: inside, and the file gives objects; after, and it gives boxes before non-maximum "
            "suppression, which `s5-hf detect` then does."
        ),
    ] = "inside",
    candidates: Annotated[
        int, typer.Option(help="Of a detector: how many boxes the suppression inside takes, the best ones.")
    ] = 1000,
) -> None:
    """Write the dense model of one task as one file for other programs, and compare it with the model.

    The file takes any batch and any height and width that are multiples of the patch size (16; 32 for a detector).
    Labels, colours and normalisation are in its metadata. `s5-hf predict` and `s5-hf detect` run it.

    - `s5-hf export my-segmenter my-segmenter.onnx --task loveda`
    - `s5-hf export my-segmenter my-segmenter.pt2 --task loveda --format torch-export`
    - `s5-hf export my-detector my-detector.onnx --suppression after`
    """
    from ..export import export_model

    report = export_model(model, output, file_format, task, suppression=suppression, candidates=candidates)
    largest = max(report.differences.values())
    if report.metadata.kind == "segmentation":
        agreement = f"logits agree to {largest:.1g} over {len(report.differences)} input shapes"
    else:
        agreement = f"{1 - largest:.0%} of the {report.metadata.kind} are those of the model"
    typer.echo(
        f"{report.path}: task {report.metadata.task}, {len(report.metadata.labels)} classes, "
        f"{report.size / 1e6:.1f} MB; {agreement}"
    )


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(export)
