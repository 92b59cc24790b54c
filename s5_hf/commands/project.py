"""`s5-hf init` and `s5-hf run`: a project file, and the way that it describes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer


def init(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders to look into, files of polygons, or images to be mapped.")
    ],
    output: Annotated[Path, typer.Option(help="The project file to write.")] = Path("project.yaml"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a project file that is there.")] = False,
) -> None:
    """Write a project file from a look into folders: scenes with polygons, tiles with masks, images without labels.

    The file says in comments what was found and what can be changed. Look through it, then run it:

    - `s5-hf init my-city my-archive`
    - `s5-hf run project.yaml`
    """
    from ..project import write_project_file

    for line in write_project_file(folders, output, overwrite):
        typer.echo(line)


def run(
    project: Annotated[Path, typer.Argument(help="The project file, as `s5-hf init` writes it.")],
    until: Annotated[
        str | None,
        typer.Option(
            help="The last step to make: prepare, first, curate, pretrain, finetune, evaluate, maps or accuracy."
        ),
    ] = None,
) -> None:
    """Run a project: tiles, first segmenter, curation, pre-training, fine-tuning, evaluation, maps, and a report.

    Every step is a command of its own, which is shown. After Ctrl-C the same command resumes. A step is repeated if
    its settings in the file or its data have changed, and so is what follows it.

    - `s5-hf run project.yaml`
    - `s5-hf run project.yaml --until curate`
    """
    from ..project import run_project

    with exit_when_stopped():
        run_project(project, until, report=typer.echo)


@contextmanager
def exit_when_stopped() -> Iterator[None]:
    """End the program with the status of the step at which a project stopped, and say in a line which it was."""
    from ..project import ProjectStopped

    try:
        yield
    except ProjectStopped as stop:
        typer.echo(str(stop), err=True)
        raise typer.Exit(stop.status) from None


def register(app: typer.Typer) -> None:
    """Add the commands to `s5-hf`."""
    app.command()(init)
    app.command()(run)
