"""`s5-hf evaluate` for open-vocabulary models: the classes of the dataset by their names."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.evaluation import EvaluationSettings, run_evaluation
from s5_hf.predictors.torch_segmenter import load_segmenters
from tests.evaluation.conftest import LABELS
from tests.open_models import write_tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


def names():
    return [f"{label}, the {label}" for label in LABELS]


def test_the_scores_are_those_of_the_named_classes(folder, fields, tmp_path):
    words = ["evaluate", str(folder), "--dataset", "s5-image-mask", "--data-dir", str(fields), "--split", "val"]
    words += ["--protocol", "original", "--output", str(tmp_path), "--classes", *names()]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    (segmenter,) = load_segmenters(folder, classes=names())
    expected = np.zeros((3, 3), dtype=int)
    for image in sorted((fields / "val" / "images").iterdir()):
        mask = np.asarray(Image.open(fields / "val" / "masks" / image.name))
        pixels = torch.from_numpy(np.array(Image.open(image))).float() / 255
        normalised = (pixels - torch.tensor(segmenter.image_mean)) / torch.tensor(segmenter.image_std)
        ids = segmenter.predict(normalised.permute(2, 0, 1)[None])[0].argmax(dim=0).numpy()
        np.add.at(expected, (mask[mask < 3], ids[mask < 3]), 1)
    difference = np.abs(np.array(report["confusion_matrix"]) - expected).sum()
    assert difference <= 4, "pixels at the border of two classes may fall to either side by rounding"
    assert (expected > 0).sum() > 3
    assert list(report["per_class"]) == list(LABELS)


def test_what_is_refused(folder, model_folder, fields):
    settings = {"model": str(folder), "dataset": "s5-image-mask", "data_dir": str(fields), "split": "val"}
    with pytest.raises(ValueError, match="takes any classes and has none yet"):
        run_evaluation(EvaluationSettings(**settings))
    with pytest.raises(ValueError, match="the name 'soil' comes twice"):
        run_evaluation(EvaluationSettings(**settings, classes=("soil", "crop,soil")))
    with pytest.raises(ValueError, match="has classes of its own; only an open-vocabulary model takes other ones"):
        run_evaluation(EvaluationSettings(**{**settings, "model": str(model_folder)}, classes=("soil", "crop")))
