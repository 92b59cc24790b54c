"""The loop with a kind of training that is as small as one can be, and the names that `s5_hf.training` gives."""

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file

import s5_hf.training
from s5_hf.semi_supervised import MethodOutput
from s5_hf.training import TrainingKind, carry_out, read_log
from s5_hf.training.recipe_reading import SectionedRecipe, option
from s5_hf.training.recipe_sections import AdamWSettings, RunSettings, bookkeeping
from s5_hf.training.throughput import Throughput


@dataclass
class LineOptimizer(AdamWSettings):
    total_steps: int = option(4, "optimizer steps")


@dataclass
class LineRecipe(SectionedRecipe):
    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(RunSettings)

    optimizer: LineOptimizer
    run: RunSettings


class Line(TrainingKind[LineRecipe]):
    """Learns one weight."""

    project, headline, model_folder = "line", "line", "line"

    def __init__(self, recipe):
        super().__init__(recipe)
        self.total_steps, self.followed = recipe.optimizer.total_steps, []

    def load_data(self, processes):
        return {"numbers": [{"id": "a", "value": 1}]}

    def make_model(self):
        return torch.nn.Linear(1, 1, bias=False)

    def make_throughput(self, model, processes):
        return Throughput(processes)

    def batches(self, training, taken):
        while True:
            taken += 1
            yield torch.full((1, 1), float(taken))

    def step(self, model, batch, step):
        return MethodOutput(model(batch).square().mean(), {"number": batch.mean()})

    def after_step(self, model, step):
        self.followed.append(step)

    def save_networks(self, model, folder, state_dict):
        (folder / self.model_folder).mkdir()
        save_file(state_dict, folder / self.model_folder / "model.safetensors")


def run(folder, **settings):
    AcceleratorState._reset_state(reset_partial_state=True)
    kind = Line(LineRecipe.make(output_dir=str(folder), trackers=["none"], logging_steps=1, **settings))
    carry_out(kind)
    return kind, load_file(folder / "line" / "model.safetensors")["weight"]


def test_a_new_kind_of_training_is_a_small_class_and_resumes_exactly(tmp_path):
    kind, whole = run(tmp_path / "whole", gradient_accumulation=2)
    assert kind.followed == [0, 1, 2, 3]
    assert [entry["number"] for entry in read_log(tmp_path / "whole")] == [1.5, 3.5, 5.5, 7.5]
    run(tmp_path / "parts", gradient_accumulation=2, checkpoint_steps=2)
    (tmp_path / "parts" / "checkpoints" / "step-00000004").rename(tmp_path / "lost")
    kind, parts = run(tmp_path / "parts", gradient_accumulation=2, checkpoint_steps=2, resume="auto")
    assert kind.followed == [2, 3] and torch.equal(whole, parts)


def test_a_kind_that_validates_says_how(tmp_path):
    with pytest.raises(NotImplementedError, match="Line does not validate"):
        Line(LineRecipe.make()).validate(None, 0)


def test_the_face_gives_every_name_and_imports_nothing_heavy():
    for name in s5_hf.training.__all__:
        assert getattr(s5_hf.training, name).__name__ == name
    code = "import sys, s5_hf.training; assert not {'accelerate', 'datasets'} & set(sys.modules), 'heavy'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
