"""`s5-hf`: the command line. It gathers the command groups, which import what they use when they run."""

import contextlib
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .commands import (
    accuracy,
    ask,
    boxes,
    change,
    curate,
    datasets,
    demo,
    detect,
    evaluate,
    evaluate_change,
    export,
    hyperspectral,
    models,
    mosaic,
    predict,
    prepare_scenes,
    project,
    road_graphs,
    roads,
    train,
    translate,
    view,
)
from .errors import TRACEBACK_OPTION, end_in_one_line, take_traceback_option
from .freed_memory import keep_freed_memory
from .version import __version__


class Program(TyperGroup):
    """The group of all commands. `main` hands it what turns errors into a line; elsewhere they pass through."""

    def invoke(self, context: typer.Context) -> Any:
        with context.obj or contextlib.nullcontext():
            return super().invoke(context)


app = typer.Typer(
    name="s5-hf",
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def print_version(asked: bool) -> None:
    """Answer `--version`."""
    if asked:
        typer.echo(f"s5-hf {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=print_version, is_eager=True)
    ] = False,
    traceback: Annotated[
        bool, typer.Option(TRACEBACK_OPTION, help="With an error, show where it came from; may also stand last.")
    ] = False,
) -> None:
    """Semi-supervised segmentation and oriented detection for remote sensing."""


models.register(app)
app.add_typer(datasets.app)
app.add_typer(boxes.app)
app.add_typer(road_graphs.app)
prepare_scenes.register(app)
app.add_typer(curate.app)
app.add_typer(train.app)
evaluate.register(app)
accuracy.register(app)
project.register(app)
demo.register(app)
export.register(app)
predict.register(app)
ask.register(app)
change.register(app)
evaluate_change.register(app)
hyperspectral.register(app)
translate.register(app)
mosaic.register(app)
view.register(app)
detect.register(app)
roads.register(app)


def main() -> None:
    """Run the command line; bad input ends with exit code 2 and one line, not with a traceback (see `errors`)."""
    keep_freed_memory()
    app(obj=end_in_one_line("s5-hf", take_traceback_option()))


if __name__ == "__main__":
    main()
