"""The numbers of a validation, on predictions that are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from PIL import Image
from torch import nn

from s5_hf.training.validation import ValidationSettings, histogram_distance, validate


class ColourModel(nn.Module):
    """Says the class that a pixel's red value names, sure of it where green is bright."""

    def forward(self, pixel_values):
        classes = (pixel_values[:, 0] * 255).round().long()
        sharpness = torch.where(pixel_values[:, 1] > 0.5, 10.0, 1.0)
        return SimpleNamespace(logits=nn.functional.one_hot(classes, 3).permute(0, 3, 1, 2) * sharpness[:, None])


def settings(**changes):
    values = {
        "labels": ("a", "b", "c"),
        "ignore_index": 9,
        "mean_excludes": (),
        "threshold": 0.95,
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "palette": ((255, 0, 0), (0, 255, 0), (0, 0, 255)),
    }
    return ValidationSettings(**{**values, **changes})


def sample(predicted, sure, mask):
    image = np.zeros((*np.shape(predicted), 3), dtype=np.uint8)
    image[:, :, 0], image[:, :, 1] = predicted, np.where(sure, 255, 0)
    return {"id": "x", "image": image, "mask": np.array(mask, dtype=np.uint8)}


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True)


SAMPLES = [
    sample([[0, 0, 1, 1]], [[1, 0, 1, 1]], [[0, 1, 1, 0]]),
    sample([[1, 1], [0, 0]], [[1, 0], [0, 0]], [[1, 9], [9, 0]]),  # another size, two pixels ignored
]


def test_values(accelerator, tmp_path):
    panel = tmp_path / "panels" / "one.png"
    values = validate(ColourModel(), SAMPLES, settings(), accelerator, panel)
    # Labelled pixels (label, prediction): (0,0) (1,0) (1,1) (0,1) (1,1) (0,0)
    assert values["iou/a"] == pytest.approx(50)
    assert values["iou/b"] == pytest.approx(50)
    assert math.isnan(values["iou/c"])
    assert values["miou"] == pytest.approx(50)
    # Confident and labelled: (0,0) (1,1) (0,1) (1,1)
    assert values["confident_accuracy"] == pytest.approx(3 / 4)
    assert values["confident_share/a"] == pytest.approx(1 / 4)
    assert values["confident_share/b"] == pytest.approx(3 / 4)
    assert values["confident_share"] == pytest.approx(4 / 8)
    # Confident predictions: a 1, b 3; labels: a 3, b 3
    assert values["histogram_drift"] == pytest.approx(0.25)
    with Image.open(panel) as picture:
        assert picture.width > 4 * 256


def test_isaid_leaves_out_its_background(accelerator):
    samples = [sample([[0, 0, 1, 2]], [[0] * 4], [[0, 1, 1, 2]])]
    everything = validate(ColourModel(), samples, settings(), accelerator)
    foreground = validate(ColourModel(), samples, settings(mean_excludes=("a",)), accelerator)
    assert everything["miou"] == pytest.approx(100 * (1 / 2 + 1 / 2 + 1) / 3)
    assert foreground["miou"] == pytest.approx(100 * (1 / 2 + 1) / 2)
    assert math.isnan(foreground["confident_accuracy"])


def test_bad_input(accelerator):
    with pytest.raises(ValueError, match="validation dataset is empty"):
        validate(ColourModel(), [], settings(), accelerator)
    with pytest.raises(ValueError, match=r"'x' holds the values \[5\], but the model has 3 classes"):
        validate(ColourModel(), [sample([[0]], [[1]], [[5]])], settings(), accelerator)
    with pytest.raises(ValueError, match="leaves no class"):
        settings(mean_excludes=("a", "b", "c"))


def test_histogram_distance():
    assert histogram_distance(torch.tensor([1, 1]), torch.tensor([5, 5])) == 0
    assert histogram_distance(torch.tensor([1, 0]), torch.tensor([0, 3])) == 1
