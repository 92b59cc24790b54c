"""Lists separated by commas: one spelling in every command."""

from typing import Annotated

import numpy as np
import pytest
import typer
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.commands.option_values import band_numbers, scaling_of, takes
from s5_hf.imaging.rasters import Scaling


def test_bands_are_whole_numbers_separated_by_commas():
    assert band_numbers("4,3,2") == (4, 3, 2)
    assert band_numbers(" 1, 1 ,1") == (1, 1, 1)
    assert band_numbers(None) is None
    for wrong in ("1.5,2,3", "0,1,2", "red", "", "1 2 3"):
        with pytest.raises(typer.BadParameter, match="whole numbers from 1"):
            band_numbers(wrong)


def test_percentiles_and_value_ranges_are_two_numbers_separated_by_a_comma():
    assert scaling_of(None, None) is None
    assert scaling_of("1,99.5", None) == Scaling((1, 99.5))
    assert scaling_of(None, "0,3000") == Scaling(values=(0, 3000))
    for wrong in (("2", None), ("2 98", None), (None, "0,1,2")):
        with pytest.raises(typer.BadParameter, match=r"two numbers|numbers separated by commas"):
            scaling_of(*wrong)


def test_every_command_spells_shared_options_in_one_way():
    """The option strings and the names of the values; a name that only some commands have is fine."""
    commands = get_command(app).commands
    spelled = {}
    for name in ("predict", "detect", "prepare", "view", "evaluate"):
        for option in commands[name].params:
            spelled.setdefault(option.name, set()).add((tuple(option.opts), option.nargs, option.multiple))
    for name in ("bands", "percentiles", "value_range", "flips", "scales", "maximum_pixels"):
        assert spelled[name] == {((f"--{name.replace('_', '-')}",), 1, False)}
    assert not {"flip", "scale", "out_dir"} & set(spelled)
    for name in ("predict", "detect"):
        overlap = next(option for option in commands[name].params if option.name == "overlap")
        assert isinstance(overlap.default, float)
        assert any(option.name == "output" for option in commands[name].params)


def test_prepare_takes_bands_and_percentiles_as_predict_does(tmp_path):
    pytest.importorskip("rasterio", reason="the choice of bands needs rasterio (the extra geo)")
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[..., 2] = 200
    (tmp_path / "raw").mkdir()
    Image.fromarray(pixels).save(tmp_path / "raw" / "a.png")
    arguments = ["prepare", "s5-star", str(tmp_path / "raw"), str(tmp_path / "out"), "--workers", "1"]
    options = ["--bands", "3,2,1", "--percentiles", "1,99"]
    result = CliRunner().invoke(app, [*arguments, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (crop,) = (tmp_path / "out").rglob("*.jpg")
    assert np.abs(np.asarray(Image.open(crop)).astype(int) - (200, 0, 0)).max() <= 3
    result = CliRunner().invoke(app, [*arguments, "--bands", "1 2 3"])
    assert result.exit_code == 2 and "--bands" in result.output


def test_a_group_of_options_takes_the_place_of_a_parameter():
    """The command gets what the function makes of the options, in the place that the parameter had."""
    seen = {}

    def size(
        width: Annotated[int, typer.Option(help="Width.")], height: Annotated[int, typer.Option(help="Height.")] = 3
    ) -> tuple[int, int]:
        return width, height

    toy = typer.Typer(add_completion=False)

    @toy.command()
    @takes(size=size)
    def draw(name: str, *, size: "tuple[int, int]", color: str = "red") -> None:
        seen.update(name=name, size=size, color=color)

    assert [option.name for option in get_command(toy).params] == ["name", "width", "height", "color"]
    assert CliRunner().invoke(toy, ["box", "--width", "7", "--color", "blue"]).exit_code == 0
    assert seen == {"name": "box", "size": (7, 3), "color": "blue"}
    assert CliRunner().invoke(toy, ["box"]).exit_code == 2
