"""The loop with a kind of training that is as small as one can be, and the names that `s5_hf.training` gives."""

import os
import signal
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
from s5_hf.training import NonFiniteLossError, TrainingKind, carry_out, loop, read_log
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.recipe_reading import SectionedRecipe, option
from s5_hf.training.recipe_sections import AdamWSettings, RunSettings, bookkeeping
from s5_hf.training.step_meter import StepMeter
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
        self.total_steps, self.followed, self.observed = recipe.optimizer.total_steps, [], []

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

    def observe(self, training, step, values, class_shares):
        self.observed.append(step)
        return {}

    def save_networks(self, model, folder, state_dict):
        (folder / self.model_folder).mkdir()
        save_file(state_dict, folder / self.model_folder / "model.safetensors")


def run(folder, **settings):
    AcceleratorState._reset_state(reset_partial_state=True)
    settings = {"logging_steps": 1, **settings}
    kind = Line(LineRecipe.make(output_dir=str(folder), trackers=["none"], **settings))
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


@pytest.fixture
def late(monkeypatch):
    """Losses are read one step late, as on a GPU."""
    monkeypatch.setattr(loop, "StepMeter", lambda accelerator: StepMeter(accelerator, late=1))


def test_losses_read_late_are_the_same(tmp_path, late):
    kind, _ = run(tmp_path / "late", total_steps=5, checkpoint_steps=2, logging_steps=2)
    log = read_log(tmp_path / "late")
    assert [(entry["step"], entry["number"]) for entry in log] == [(2, 2.0), (4, 4.0), (5, 5.0)]
    assert kind.observed == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("broken", "saved"), [(1, None), (2, "step-00000002"), (3, "step-00000002")])
def test_a_loss_read_late_is_refused_before_anything_is_saved(tmp_path, late, monkeypatch, broken, saved):
    """Steps 2 and 4 are saved."""
    original = Line.step

    def step(self, model, batch, number):
        output = original(self, model, batch, number)
        return MethodOutput(output.loss * float("nan"), output.scalars) if number == broken else output

    monkeypatch.setattr(Line, "step", step)
    with pytest.raises(NonFiniteLossError, match=f"loss of step {broken} is not finite"):
        run(tmp_path, total_steps=6, checkpoint_steps=2, logging_steps=100)
    found = newest(tmp_path / "checkpoints")
    assert (found and found.name) == saved


def test_a_stop_that_is_read_late_saves_one_step_later(tmp_path, late, monkeypatch):
    original = Line.step

    def step(self, model, batch, number):
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, model, batch, number)

    monkeypatch.setattr(Line, "step", step)
    with pytest.raises(SystemExit):
        run(tmp_path, total_steps=9, checkpoint_steps=100, logging_steps=100)
    assert newest(tmp_path / "checkpoints").name == "step-00000003"
    assert [entry["number"] for entry in read_log(tmp_path)] == [3.0]


def test_a_kind_that_validates_says_how(tmp_path):
    with pytest.raises(NotImplementedError, match="Line does not validate"):
        Line(LineRecipe.make()).validate(None, 0)


def test_the_face_gives_every_name_and_imports_nothing_heavy():
    for name in s5_hf.training.__all__:
        assert getattr(s5_hf.training, name).__name__ == name
    code = "import sys, s5_hf.training; assert not {'accelerate', 'datasets'} & set(sys.modules), 'heavy'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
