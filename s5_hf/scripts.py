"""What turns the `main` of an example script into a program."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import end_in_one_line, take_traceback_option
from .freed_memory import keep_freed_memory

__all__ = ["run_script", "with_dashes"]


def run_script(main: Callable[[], None]) -> None:
    """Run the `main` of a script on the words of the command line.

    Bad input ends the script with one line and exit code 2, Ctrl-C with 130 (see `s5_hf.errors`). Every script takes
    `--traceback`, which shows where an error came from, and its options with `-` or `_` between words.

    Raises:
        SystemExit: with these codes, or as the script ends itself.
    """
    keep_freed_memory()
    warnings.filterwarnings("default", category=RuntimeWarning, module="s5_hf")
    show_traceback = take_traceback_option()
    sys.argv[1:] = with_dashes(sys.argv[1:])
    with end_in_one_line(Path(sys.argv[0]).name, show_traceback):
        main()


def with_dashes(words: Sequence[str]) -> list[str]:
    """Options spelled with dashes: `--data_dir=a_b` becomes `--data-dir=a_b`, `--my_roads.data_dir` keeps the name."""
    return [_with_dashes(word) if word.startswith("--") else word for word in words]


def _with_dashes(option: str) -> str:
    key, equals, value = option.partition("=")
    name, dot, last = key.rpartition(".")
    return name + dot + last.replace("_", "-") + equals + value
