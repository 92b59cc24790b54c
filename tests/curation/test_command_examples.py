"""The examples in the help of `s5-hf curate` run in their order, on small folders."""

import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.commands import curate
from tests.open_models import write_tiny_model

COMMANDS = {command.name: command.callback for command in curate.app.registered_commands}
# What the examples leave to the defaults fits large archives; the folders of the test are small.
SMALL = {"score": "--patch-size 64 --background none", "cluster": "--clusters 2", "select": "--target 4"}


def examples(name: str) -> list[list[str]]:
    """The commands in the help of a command, as words."""
    lines = (line.strip() for line in COMMANDS[name].__doc__.replace("\\\n", " ").splitlines())
    return [shlex.split(line) for line in lines if line.startswith("s5-hf ")]


@pytest.fixture
def folders(model_folder, labelled_tiles, archive, tmp_path, monkeypatch) -> Path:
    """A working folder with all that the examples name."""
    shutil.copytree(model_folder, tmp_path / "my-segmenter")
    write_tiny_model(tmp_path / "my-open-model")
    shutil.copytree(labelled_tiles, tmp_path / "my-tiles")
    shutil.copytree(archive, tmp_path / "archive")
    shutil.copytree(archive / "north", tmp_path / "benchmark" / "val" / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_has_an_example():
    assert [name for name in COMMANDS if not examples(name)] == []


def test_the_examples_run_one_after_the_other(folders):
    for name in ("score", "cluster", "hash", "select", "export"):
        for words in examples(name):
            options = shlex.split(SMALL.get(name, ""))
            result = CliRunner().invoke(app, [*words[1:], *options], catch_exceptions=False)
            assert result.exit_code == 0, result.output
    assert (folders / "work" / "dataset-report.html").is_file()
