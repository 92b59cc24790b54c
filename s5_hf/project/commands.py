"""Running a command inside this process: the same code as from a shell, without importing torch anew every time."""

import contextlib
import os
import pkgutil
import runpy
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import typer

__all__ = ["LAUNCH", "CommandStopped", "find_examples", "run_command"]

PROGRAM = "s5_hf.cli:app"
"""`s5-hf`, named as in the package's entry points: the demonstration runs the program as it runs the examples."""
PACKAGE = Path(__file__).parents[1]
LAUNCH = ("accelerate", "launch")
SECONDS_BETWEEN_LOOKS = 0.2
FIRST_SCRIPT = "make_synthetic_data.py"


class CommandStopped(Exception):
    """A signal stopped a command; what it had done is kept where the command keeps it.

    Attributes:
        status: exit status, 128 plus the number of the signal.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"stopped with status {status}")
        self.status = status


def find_examples(package: Path = PACKAGE) -> Path:
    """The folder of the package's own example scripts, wherever the command is run.

    Args:
        package: the folder of s5_hf. An installed one has the examples in it, that of a clone has them beside it.

    Raises:
        FileNotFoundError: if the package was installed without them.
    """
    inside, beside = package / "examples", package.parent / "examples"
    if (inside / FIRST_SCRIPT).is_file():
        return inside
    # Beside an installed package there may be anybody's folder of this name.
    if (package.parent / "setup.cfg").is_file() and (beside / FIRST_SCRIPT).is_file():
        return beside
    raise FileNotFoundError(
        f"the demonstration runs the example scripts of s5_hf, but there are none in {inside}: install s5_hf again, "
        "or run the demonstration in a clone of its repository"
    )


def run_command(words: Sequence[str], examples: Path | None = None) -> None:
    """Run `s5-hf ...`, `python examples/SCRIPT ...` or `accelerate launch ...` to its end, the last in processes of
    its own.

    Args:
        words: of the command.
        examples: folder of the scripts; those of the package if left out.

    Raises:
        CommandStopped: if Ctrl-C or SIGTERM stopped it.
        OSError, ValueError, RuntimeError: as the command.
    """
    from accelerate.state import AcceleratorState

    if tuple(words[:2]) == LAUNCH:
        launch(words)
        return
    AcceleratorState._reset_state(reset_partial_state=True)  # commands may differ in precision, as programs do
    arguments = sys.argv
    try:
        with warnings.catch_warnings():  # scripts set filters of their own
            if words[0] == "python":
                script = (examples or find_examples()) / Path(words[1]).name
                sys.argv = [str(script), *words[2:]]
                runpy.run_path(str(script), run_name="__main__")
            else:
                run_command_line(words[1:])
    except (KeyboardInterrupt, typer.Abort):
        raise CommandStopped(130) from None
    except SystemExit as end:
        if isinstance(end.code, str):
            raise RuntimeError(end.code) from end
        check_status(end.code or 0, words)
    finally:
        sys.argv = arguments


def launch(words: Sequence[str]) -> None:
    """Run `accelerate launch ...` in processes of its own; a signal to this one ends them.

    Raises:
        CommandStopped: if a signal stopped it.
        RuntimeError: if it failed; what was wrong is printed by the processes.
    """
    from ..training.signals import StopSignals

    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", *words[1:]]
    # In a session of their own Ctrl-C reaches the processes only through the launcher, once.
    with StopSignals() as signals, subprocess.Popen(command, start_new_session=True) as process:
        asked = False
        while process.poll() is None:
            if signals.received and not asked:
                process.terminate()  # the launcher hands SIGTERM on, and its processes save their state
                asked = True
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_BETWEEN_LOOKS)
    if signals.received:
        raise CommandStopped(128 + signals.received)
    check_status(abs(process.returncode), words)


def run_command_line(arguments: Sequence[str]) -> None:
    """What the program `s5-hf` does, with errors passed on.

    It is looked up by its name when the first command runs: the program has the demonstration among its commands, so
    the demonstration imports nothing of the program.
    """
    program = pkgutil.resolve_name(PROGRAM)
    # Without its standalone mode typer returns the status of an exit, such as 130 for Ctrl-C.
    check_status(program(list(arguments), standalone_mode=False) or 0, ["s5-hf", *arguments])


def check_status(status: int, words: Sequence[str]) -> None:
    """Raise unless a command ended well: CommandStopped for a signal, RuntimeError for anything else."""
    if status > 128:
        raise CommandStopped(status)
    if status:
        raise RuntimeError(f"{' '.join(words[:3])} ... ended with status {status}")


def quiet_libraries() -> None:
    """Show no progress bars except those of this package."""
    import datasets
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    datasets.disable_progress_bars()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
