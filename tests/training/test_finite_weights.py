"""Weights that a step has made NaN or infinite are published nowhere: the loss before the step shows nothing of it."""

import sys

import pytest
import torch

from s5_hf.synthetic import write_synthetic_dataset
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.errors import NonFiniteWeightsError
from s5_hf.training.step_meter import non_finite_tensors
from tests.training.finetuning import finetune
from tests.training.pretraining import example, pretrain
from tests.training.test_pretrain_mae import run as pretrain_mae

INFINITE = ("--total_steps", "1", "--learning_rate", ".inf", "--warmup_steps", "0")
PUBLISHED = ("segmenter", "encoder", "best", "average", "mae", "checkpoint", "panels")


@pytest.mark.parametrize("train", [pretrain, finetune, pretrain_mae])
def test_a_last_step_with_an_infinite_learning_rate_publishes_nothing(tmp_path, train):
    words = [word.replace(".inf", "inf") for word in INFINITE]
    with pytest.raises(NonFiniteWeightsError, match=r"step 1 has made weights NaN or infinite \(\S+ and \d+ more\)"):
        train(tmp_path, *words)
    assert [name for name in PUBLISHED if (tmp_path / name).exists()] == []
    assert newest(tmp_path / "checkpoints") is None


def test_an_average_of_weights_is_looked_at_too(tmp_path, monkeypatch):
    from s5_hf.semi_supervised import WeightAverage

    def spoil(self, model, decay):
        next(self.model.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(WeightAverage, "update", spoil)
    with pytest.raises(NonFiniteWeightsError):
        pretrain(tmp_path, "--total_steps", "1", "--weight_average_decay", "0.9")


def test_statistics_are_looked_at_too():
    norm = torch.nn.BatchNorm2d(2)
    assert non_finite_tensors(norm) == []
    norm.running_var[1] = float("inf")
    assert non_finite_tensors(norm) == ["running_var"]


def test_the_small_segmenter_is_not_saved_with_nan_weights(tmp_path, monkeypatch):
    write_synthetic_dataset(tmp_path / "tiles", 2, 64)
    labels = ["field", "road", "building", "water", "tree", "car"]
    small = ("--steps", "1", "--batch-size", "2", "--crop", "64", "--hidden-size", "32", "--layers", "4")
    words = [str(tmp_path / "tiles"), str(tmp_path / "out"), "--classes", *labels, *small, "--learning-rate", "inf"]
    monkeypatch.setattr(sys, "argv", ["train_small_segmenter.py", *words])
    with pytest.raises(NonFiniteWeightsError, match="nothing was saved"):
        example("train_small_segmenter").main()
    assert not (tmp_path / "out").exists()
