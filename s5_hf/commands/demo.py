"""`s5-hf demo`."""

from pathlib import Path
from typing import Annotated

import typer

from .project import exit_when_stopped


def demo(
    output: Annotated[Path, typer.Option(help="Folder for everything the demonstration makes.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed of all data and all training runs.", min=0)] = 0,
    size: Annotated[int, typer.Option(help="Width and height of the images in pixels.", min=64, max=1024)] = 192,
    labelled: Annotated[int, typer.Option(help="Number of labelled training images of each dataset.", min=4)] = 16,
    archive: Annotated[
        int, typer.Option(help="Number of images in the archive, besides some planted bad ones.", min=8)
    ] = 48,
    steps: Annotated[int, typer.Option(help="Steps of every training run.", min=2)] = 200,
    scene: Annotated[int, typer.Option(help="Width and height of the scene in pixels.", min=64, max=4096)] = 640,
    shores: Annotated[
        int,
        typer.Option(
            help="Number of tiles of land and water for the comparison with supervised training, a few of them "
            "labelled; 0 leaves it out.",
            min=0,
        ),
    ] = 75,
) -> None:
    """Run the whole chain of S5 on synthetic scenes: train, curate, pre-train, fine-tune, evaluate, map.

    It takes some minutes on two cores and leaves `report.html`, with pictures, curves, comparisons and the command
    of every step. After Ctrl-C, the same command resumes; with other options it repeats the steps that depend on them.
    It is a project: `demo/project.yaml` describes it, and `s5-hf run` takes that file after you change it. To see the
    result, open `demo/report.html`:

        s5-hf demo --output demo
    """
    import torch

    from ..demo import DemoSettings, run_demo

    # Networks this small gain little from a second thread, and lose a lot where other work keeps the cores busy.
    torch.set_num_threads(1)
    settings = DemoSettings(
        seed=seed, size=size, labelled=labelled, archive=archive, steps=steps, scene=scene, shores=shores
    )
    with exit_when_stopped():
        run_demo(output, settings, report=typer.echo)


def register(app: typer.Typer) -> None:
    """Add the command to `s5-hf`."""
    app.command()(demo)
