"""Options of several words, such as `--classes building,roof road water`."""

from collections.abc import Sequence

import click
from typer.core import TyperCommand


class ClassListCommand(TyperCommand):
    """A command whose `--classes` takes all words up to the next option. Its other arguments come before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, in which `--classes` is repeated for each of its words."""
        return super().parse_args(ctx, repeat_option(args, "--classes"))


def repeat_option(arguments: Sequence[str], option: str) -> list[str]:
    """Words with an option before each of those that follow it up to the next option.

    ```python
    >>> repeat_option(["a.tif", "--classes", "road", "water", "--overlay"], "--classes")
    ['a.tif', '--classes', 'road', '--classes', 'water', '--overlay']

    ```
    """
    repeated: list[str] = []
    of_option = False
    for word in arguments:
        if word.startswith("-"):
            of_option = word == option
        elif of_option and repeated[-1] != option:
            repeated.append(option)
        repeated.append(word)
    return repeated
