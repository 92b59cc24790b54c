"""From an archive and names of classes to a trained network: no mask was drawn by anyone."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import load_dataset
from PIL import Image
from transformers import AutoModelForSemanticSegmentation
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.recipes import find_recipe
from s5_hf.synthetic import synthetic_scene
from tests.open_models import write_tiny_model

NAMES = ["field", "road,path", "water"]
LABELS = ["field", "road", "water"]
TINY = "--hidden-size 32 --num-hidden-layers 4 --num-attention-heads 2 --decoder-channels 16 --crop-size 32"
SHORT = "--total-steps 2 --warmup-steps 0 --labelled-batch-size 2 --unlabelled-batch-size 2 --checkpoint-steps 2"


def run(line, *words):
    result = CliRunner().invoke(app, [*line.split(), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    (tmp_path / "archive").mkdir()
    for seed in range(6):
        Image.fromarray(synthetic_scene(64, seed).image).save(tmp_path / "archive" / f"{seed}.png")
    write_tiny_model(tmp_path / "my-open-model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names_and_an_archive_train_a_network(working_folder):
    recipe = yaml.safe_load(find_recipe("curate_by_names", "curation").read_text(encoding="utf-8"))
    recipe["classes"], recipe["score"]["patch_size"] = NAMES, 64
    recipe["select"] |= {"target": 4, "duplicates": "keep"}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    run("curate run recipe.yaml")
    pseudo = load_dataset("rs4p-1m", data_dir="by-names/dataset", split="train")
    labelled = load_dataset("s5-image-mask", data_dir="by-names/dataset", split="train", classes=LABELS)
    assert len(pseudo) == len(labelled) == 4
    for first, second in zip(pseudo, labelled, strict=True):
        np.testing.assert_array_equal(np.asarray(first["pseudo_mask"]), np.asarray(second["mask"]))
    data = (
        "--labelled-dir by-names/dataset --labelled-count null --unlabelled-dataset s5-images --unlabelled-dir archive"
    )
    run_options = "--validation-split none --trackers none --output-dir runs/student"
    run(f"train s4p s4p_tiny_cpu {data} {run_options} {TINY} {SHORT} --classes", *LABELS)
    student = AutoModelForSemanticSegmentation.from_pretrained("runs/student/segmenter")
    assert list(student.config.id2label.values()) == LABELS
