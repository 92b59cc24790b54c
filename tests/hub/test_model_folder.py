"""Paths without a model are called what they are, before transformers takes them for repositories."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.export import export_model
from s5_hf.hub import require_model_folder, stage_for_hub
from s5_hf.predictors import load_segmenters
from s5_hf.predictors.feature_segmenter import Segmenter


@pytest.mark.parametrize(
    "name", ["runs/city/segmenter", "city", "./city", "/no/city", "~/city", "a\\b", Path("runs/city/segmenter")]
)
def test_paths_without_a_folder_are_refused(name):
    with pytest.raises(FileNotFoundError, match=r"there is no model folder .*expected a folder with config\.json"):
        require_model_folder(name)


@pytest.mark.parametrize("name", ["s5-vit-b", "owner/name", Path("s5-vit-b")])
def test_names_are_left_to_transformers(name):
    require_model_folder(name)


def test_folders_are_let_through(tmp_path):
    require_model_folder(tmp_path)
    require_model_folder(str(tmp_path))


@pytest.mark.parametrize(
    "load",
    [
        Segmenter.from_pretrained,
        load_segmenters,
        lambda name: run_evaluation(EvaluationSettings(model=name, dataset="s5-loveda", data_dir="data")),
        lambda name: export_model(name, Path("model.pt2"), "torch-export"),
    ],
)
def test_every_way_in_says_so(load):
    with pytest.raises(FileNotFoundError, match="there is no model folder runs/city/segmenter"):
        load("runs/city/segmenter")


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"model_type": ', "is not valid JSON"),
        (b"", "is not valid JSON"),
        ('{"label": "Wälder"}'.encode("latin-1"), "is not UTF-8 text"),
        (b"[]", "holds list in JSON, expected an object"),
    ],
)
def test_a_broken_configuration_is_named(tmp_path, encoder_folder, file, content, reason):
    folder = tmp_path / "model"
    shutil.copytree(encoder_folder, folder)
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=rf"model.{file} {reason}"):
        require_model_folder(folder)
    with pytest.raises(ValueError, match=rf"model.{file} {reason}"):
        stage_for_hub(folder, tmp_path, "me/model")
    if file == "config.json":
        result = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "out.pth")])
        assert result.exit_code != 0 and reason in str(result.exception)
