"""`s5-hf demo`."""

from pathlib import Path

import typer


def demo(
    output: Path = typer.Option(Path("demo"), help="Folder for the pictures and the converted model."),
    seed: int = typer.Option(0, help="Seed of the scene and of the random weights."),
    size: int = typer.Option(600, help="Height and width of the scene in pixels.", min=64, max=4096),
) -> None:
    """Make a synthetic aerial scene, convert a random official checkpoint, segment, draw the overlay.

    Example: `s5-hf demo --output demo`, then look at `demo/overview.png`.
    """
    from transformers.utils.logging import disable_progress_bar

    from ..demo import run_demo

    disable_progress_bar()  # its steps take a second each and report themselves
    run_demo(output, seed=seed, size=size, report=typer.echo)


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(demo)
