"""The examples in the help of every `s5-hf` command, and the commands that pages show: their options exist."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from s5_hf.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
EXAMPLE = re.compile(r"^\s*(?:-|Example:)?\s*`?(s5-hf [^`\n]+)`?", re.MULTILINE)
SHELL_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def leaves(command, path=()):
    """Every command that does something, by its words after `s5-hf`."""
    if not hasattr(command, "commands"):
        return {path: command}
    return {
        words: leaf for name, below in command.commands.items() for words, leaf in leaves(below, (*path, name)).items()
    }


COMMANDS = leaves(get_command(app))


def command_of(words):
    """The command that the words after `s5-hf` name, and what follows its name."""
    for length in (1, 2):
        if tuple(words[:length]) in COMMANDS:
            return COMMANDS[tuple(words[:length])], words[length:]
    raise AssertionError(f"there is no command s5-hf {' '.join(words[:2])}")


def examples_of(path):
    """The lines in the help of a command that begin with `s5-hf`; a backslash continues one."""
    return EXAMPLE.findall(re.sub(r"\\\n\s*", " ", COMMANDS[path].help))


def assert_that_it_would_be_read(example):
    """The command takes the options and the number of arguments of an example; nothing is run."""
    command, rest = command_of(shlex.split(example, comments=True)[1:])
    command.make_context(example, list(rest))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_shows_an_example_with_options_that_exist(path):
    shown = CliRunner().invoke(app, [*path, "--help"], catch_exceptions=False).output
    assert f"s5-hf {' '.join(path)}" in " ".join(shown.replace("Usage: s5-hf", "").replace("│", " ").split())
    examples = examples_of(path)
    assert [example for example in examples if example.split()[1 : len(path) + 1] == list(path)]
    for example in examples:
        assert_that_it_would_be_read(example)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_a_page_have_options_that_exist(page):
    lines = "\n".join(SHELL_BLOCK.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith("s5-hf ") and "--help" not in line:
            assert_that_it_would_be_read(line)
