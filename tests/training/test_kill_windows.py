"""A process that is killed between any two file operations leaves a complete best model and a complete checkpoint."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.training.checkpointing.checkpoints import Checkpoints
from s5_hf.training.checkpointing.data_listing import DataListing
from s5_hf.training.checkpointing.folder_swap import former, partial, recover, swap_in, waiting
from s5_hf.training.checkpointing.manifest import changed_files, write_manifest
from s5_hf.training.errors import CheckpointError
from s5_hf.training.joint.best_models import BestModels
from s5_hf.training.pretraining.kind import S4Pretraining
from s5_hf.training.pretraining.recipe import PretrainingRecipe

OPERATIONS = (
    (Path, "replace"),
    (Path, "rename"),
    (Path, "rmdir"),
    (Path, "unlink"),
    (shutil, "rmtree"),
    (os, "replace"),
)


class Killed(BaseException):
    """Stands for SIGKILL: nothing is done after it, not even what stands in a `finally`."""


def killed_at(monkeypatch, number):
    """Let file operation `number`, and every one after it, raise; returns the operations that were reached."""
    reached = []

    def guarded(name, original):
        def call(*arguments, **options):
            reached.append(name)
            if len(reached) > number:
                raise Killed(name)
            return original(*arguments, **options)

        return call

    for owner, name in OPERATIONS:
        monkeypatch.setattr(owner, name, guarded(name, getattr(owner, name)))
    return reached


def count_operations(action):
    with pytest.MonkeyPatch.context() as patch:
        reached = killed_at(patch, 10_000)
        action()
    return len(reached)


def kill_during(action, number):
    with pytest.MonkeyPatch.context() as patch:
        killed_at(patch, number)
        with pytest.raises(Killed):
            action()


def keep(folder, model, step, score):
    best = BestModels(folder, S5ImageProcessor(), {"selection": "validation"})
    return best.keep(step, {"mean": score}, model, model.state_dict())


def test_the_best_model_survives_a_kill_between_every_two_file_operations(tmp_path, dense_model):
    def begin(folder):
        keep(folder, dense_model, 1, 0.3)
        return folder

    example = begin(tmp_path / "count")
    operations = count_operations(lambda: keep(example, dense_model, 2, 0.6))
    assert operations >= 5
    found = []
    for number in range(operations):
        folder = begin(tmp_path / str(number))
        kill_during(lambda folder=folder: keep(folder, dense_model, 2, 0.6), number)
        found.append(BestModels(folder, S5ImageProcessor(), {}).best_score("mean"))
        assert changed_files(folder / "mean") == []
        S5ForSemanticSegmentation.from_pretrained(folder / "mean")
        keep(folder, dense_model, 2, 0.6)  # the resumed run validates the step again
        assert BestModels(folder, S5ImageProcessor(), {}).best_score("mean") == 0.6
        assert [path.name for path in folder.iterdir()] == ["mean"]
    assert set(found) == {0.3, 0.6} and found == sorted(found)


def test_a_first_best_model_that_was_complete_is_not_lost(tmp_path, dense_model):
    keep(tmp_path, dense_model, 1, 0.3)
    (tmp_path / "mean").rename(waiting(tmp_path / "mean"))
    assert BestModels(tmp_path, S5ImageProcessor(), {}).best_score("mean") == 0.3


def make_folder(path, text):
    path.mkdir()
    (path / "file").write_text(text, encoding="utf-8")
    write_manifest(path)


def test_recovery_takes_the_new_folder_before_the_former_one(tmp_path):
    folder = tmp_path / "best"
    make_folder(waiting(folder), "new")
    make_folder(former(folder), "former")
    assert recover(folder) and (folder / "file").read_text(encoding="utf-8") == "new"
    assert not recover(folder)


@pytest.mark.parametrize("damage", ["cut", "missing", "no manifest", "same size"])
def test_recovery_passes_over_an_incomplete_folder(tmp_path, damage):
    folder = tmp_path / "best"
    make_folder(waiting(folder), "new")
    make_folder(former(folder), "former")
    if damage == "cut":
        (waiting(folder) / "file").write_text("n", encoding="utf-8")
    elif damage == "same size":
        (waiting(folder) / "file").write_text("neu", encoding="utf-8")
    else:
        (waiting(folder) / ("file" if damage == "missing" else "manifest.json")).unlink()
    assert recover(folder) and (folder / "file").read_text(encoding="utf-8") == "former"


def test_swapping_survives_a_kill_between_every_two_file_operations(tmp_path):
    def begin(folder):
        make_folder(folder, "former")
        make_folder(partial(folder), "new")
        return folder

    example = begin(tmp_path / "count")
    for number in range(count_operations(lambda: swap_in(example))):
        folder = begin(tmp_path / str(number))
        kill_during(lambda folder=folder: swap_in(folder), number)
        recover(folder)
        assert changed_files(folder) == []


class Weights(S4Pretraining):
    """One weight and its checkpoints, of which the last one is kept."""

    def __init__(self, folder):
        AcceleratorState._reset_state(reset_partial_state=True)
        super().__init__(
            PretrainingRecipe.make(method="supervised", output_dir=str(folder), keep_checkpoints=1, resume="auto")
        )
        accelerator = Accelerator(cpu=True)
        self.model = accelerator.prepare(torch.nn.Linear(1, 1))
        self.checkpoints = Checkpoints(self, accelerator)
        self.checkpoints.data = DataListing({"images": [("a", "1")]})

    def save_networks(self, model, folder, state_dict):
        """Nothing for users."""

    def save(self, step):
        with torch.no_grad():
            self.model.weight.fill_(step)
        self.checkpoints.save(step, self.model)

    def load(self):
        found = self.checkpoints.to_resume()
        return 0 if found is None else self.checkpoints.load(found)


def test_the_checkpoint_survives_a_kill_between_every_two_file_operations(tmp_path):
    example = Weights(tmp_path / "count")
    example.save(1)
    operations = count_operations(lambda: example.save(2))
    assert operations >= 4
    found = []
    for number in range(operations):
        run = Weights(tmp_path / str(number))
        run.save(1)
        kill_during(lambda run=run: run.save(2), number)
        found.append(run.load())
        assert run.model.weight.item() == found[-1]
        run.save(3)
        assert run.load() == 3
        assert [path.name for path in run.checkpoints.folder.iterdir()] == ["step-00000003"]
    assert set(found) == {1, 2} and found == sorted(found)


def test_scores_that_are_broken_are_refused_by_name(tmp_path):
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "scores.json").write_text(json.dumps({}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"mean.scores\.json does not say how good"):
        BestModels(tmp_path, S5ImageProcessor(), {}).best_score("mean")
