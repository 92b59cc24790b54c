"""`s5-hf`: the command line. It gathers the command groups and turns errors into one readable line."""

import os
import sys

import typer

from .commands import curate, datasets, demo, detect, evaluate, export, models, predict, view

app = typer.Typer(
    name="s5-hf",
    help="Semi-supervised segmentation and oriented detection for remote sensing.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback()
def root() -> None:
    """Semi-supervised segmentation and oriented detection for remote sensing."""


models.register(app)
app.add_typer(datasets.app)
app.add_typer(curate.app)
evaluate.register(app)
demo.register(app)
export.register(app)
predict.register(app)
view.register(app)
detect.register(app)


def main() -> None:
    """Run the command line; a bad input ends with exit code 1 and one line, not with a traceback.

    Set `S5_HF_TRACEBACK=1` to see where an error came from.
    """
    try:
        app()
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if os.environ.get("S5_HF_TRACEBACK"):
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"s5-hf: {message}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
