"""Whole runs of examples/finetune_segmentation.py: what they leave, exact resume, weights and starts of the losses."""

import json
import signal
from functools import partial

import pytest
import torch
from transformers import AutoModelForSemanticSegmentation

from s5_hf.training.checkpointing.checkpoints import checkpoint_folders, newest
from s5_hf.training.errors import CheckpointError, NonFiniteLossError
from s5_hf.training.run_folder import read_log
from s5_hf.training.segmentation.step import SegmentationStep
from tests.fresh_process import FreshProcess
from tests.training.finetuning import finetune, interrupt_step, micro_tasks
from tests.training.pretraining import run_in_two_processes, stop_by_sigterm, weights_of

# Everything random at once; images of the datasets by size.
VARIED = ("--drop_path_rate", "0.1", "--sampling", "temperature", "--batch_size", "3", "--blocks.class_weights")
VARIED = (*VARIED, "1", "2", "0.5")


def losses(folder):
    """Losses of every step."""
    names = ("loss", "loss/blocks", "loss/halves", "learning_rate")
    return {entry["step"]: tuple(entry[name] for name in names) for entry in read_log(folder) if "loss" in entry}


def scores(folder):
    return [entry for entry in read_log(folder) if "validation/mean/miou" in entry]


def assert_equal_runs(first, second):
    assert losses(first) == losses(second)
    assert scores(first) == scores(second)
    for name, tensor in weights_of(first).items():
        assert torch.equal(tensor, weights_of(second)[name]), name
    for best in ("mean", "blocks", "halves"):
        texts = [(folder / "best" / best / "scores.json").read_text(encoding="utf-8") for folder in (first, second)]
        assert texts[0] == texts[1]


# Each kind of training has such a run of its own, which its tests compare with others.
@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted run of 10 steps."""
    folder = tmp_path_factory.mktemp("whole")
    finetune(folder, *VARIED)
    return folder


def test_what_a_run_leaves(whole_run):
    assert sorted(losses(whole_run)) == list(range(1, 11))
    assert [entry["step"] for entry in scores(whole_run)] == [5, 10]
    for entry in scores(whole_run):
        mean = (entry["validation/blocks/miou"] + entry["validation/halves/miou"]) / 2
        assert entry["validation/mean/miou"] == pytest.approx(mean, abs=1e-9)
    assert (whole_run / "panels" / "halves-step-00000010.png").stat().st_size > 1000
    record = json.loads((whole_run / "selection.json").read_text(encoding="utf-8"))
    assert (record["selection"], record["validation"]) == ("validation", {"blocks": "given", "halves": "given"})
    assert not list(whole_run.glob("**/*partial*")) and not list((whole_run / "best").glob(".*"))
    model = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "segmenter")
    assert model.config.tasks == {"blocks": ["red", "green", "blue"], "halves": ["red", "green"]}
    assert model.config.ignore_index_of("halves") == 9
    assert model.config.backbone_config.num_experts == 2


def test_best_models_are_the_best_and_load(whole_run):
    for name in ("blocks", "halves", "mean"):
        expected = max(scores(whole_run), key=lambda entry: entry[f"validation/{name}/miou"])
        record = json.loads((whole_run / "best" / name / "scores.json").read_text(encoding="utf-8"))
        assert (record["step"], record["best"]) == (expected["step"], expected[f"validation/{name}/miou"])
        assert record["selection"] == "validation"
    dense = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "best" / "halves")
    assert list(dense.config.tasks) == ["halves"] and dense.config.backbone_config.num_experts == 0
    whole = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "best" / "mean")
    assert len(whole.config.tasks) == 2


def test_it_learns_both_tasks(tmp_path):
    options = ("--total_steps", "40", "--validation_steps", "0", "--learning_rate", "3e-3", "--color_augmentation")
    finetune(tmp_path, *options, "false")
    (entry,) = scores(tmp_path)
    assert entry["validation/blocks/miou"] > 60 and entry["validation/halves/miou"] > 60  # by chance below 35


def test_stopped_by_sigterm_and_killed_the_resumed_run_equals_the_whole_one(whole_run, tmp_path, capsys):
    at_step_5 = partial(interrupt_step, step=SegmentationStep, number=4)
    stop_by_sigterm(at_step_5, lambda: finetune(tmp_path, *VARIED), capsys)
    assert newest(tmp_path / "checkpoints").name == "step-00000005"

    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import pytest\n"
        "from s5_hf.training.segmentation.step import SegmentationStep\n"
        "from tests.training.finetuning import finetune, interrupt_step\n"
        "interrupt_step(pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), signal.SIGKILL), SegmentationStep, 4)\n"
        "finetune(Path(sys.argv[1]), *sys.argv[2:])\n"
    )
    process = FreshProcess(code, tmp_path, *VARIED, "--resume", "auto", "--num_workers", "1")
    output = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL, output
    assert newest(tmp_path / "checkpoints").name == "step-00000008"  # killed during step 10

    finetune(tmp_path, *VARIED, "--resume", "auto")
    assert_equal_runs(whole_run, tmp_path)


def test_two_runs_are_equal(whole_run, tmp_path):
    finetune(tmp_path, *VARIED)
    assert_equal_runs(whole_run, tmp_path)


def test_two_processes_with_half_the_batch_equal_one(tmp_path):
    options = (
        *("--total_steps", "3", "--freeze_batch_norm", "--classifier_dropout", "0", "--drop_path_rate", "0"),
        *("--validation_steps", "0", "--halves.class_weights", "1", "3", "--checkpoint_steps", "3"),
    )
    finetune(tmp_path / "one", *options)
    run_in_two_processes(finetune, tmp_path / "two", *options, "--batch_size", "1")
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert sorted(one) == sorted(two) == [1, 2, 3]
    for step in one:
        assert two[step] == pytest.approx(one[step], abs=1e-5)
    for name, tensor in weights_of(tmp_path / "one").items():
        torch.testing.assert_close(weights_of(tmp_path / "two")[name], tensor, rtol=0, atol=1e-4, msg=name)
    first, second = scores(tmp_path / "one")[0], scores(tmp_path / "two")[0]
    assert second["validation/mean/miou"] == pytest.approx(first["validation/mean/miou"], abs=0.1)


def test_a_late_loss_leaves_its_decoder_alone_but_for_weight_decay(tmp_path):
    """Vaihingen's way: the loss of `halves` begins in epoch 7 of 10; one step is one epoch here."""
    options = (
        "--halves.loss_from_epoch",
        "7",
        "--checkpoint_steps",
        "1",
        "--keep_checkpoints",
        "10",
        "--validation_steps",
    )
    options = (*options, "0", "--schedule", "constant", "--weight_decay", "0.1", "--layer_decay", "1")
    finetune(tmp_path, *options)
    before, after, last = (
        weights_of(folder) for folder in (checkpoint_folders(tmp_path / "checkpoints")[index] for index in (0, 6, 9))
    )
    own = [name for name in before if name.startswith(("decoders.1.", "classifiers.1.")) or ".experts.1." in name]
    trained = [name for name in own if "running_" not in name and "num_batches" not in name and "unused" not in name]
    assert len(trained) > 20
    for name in trained:
        shrunk = 1.0 if "norm" in name else (1 - 1e-3 * 0.1) ** 6
        torch.testing.assert_close(after[name], before[name] * shrunk, rtol=1e-5, atol=1e-8, msg=name)
    assert not torch.equal(last["classifiers.1.weight"], after["classifiers.1.weight"] * (1 - 1e-4) ** 3)
    assert (last["classifiers.1.weight"] - after["classifiers.1.weight"]).abs().max() > 1e-3
    assert (after["classifiers.0.weight"] - before["classifiers.0.weight"]).abs().max() > 1e-3


def test_the_batch_norm_of_a_late_task_follows_its_images(tmp_path):
    options = ("--halves.loss_from_epoch", "9", "--total_steps", "2", "--checkpoint_steps", "1")
    finetune(tmp_path, *options, "--validation_steps", "0")
    first, second = (weights_of(folder) for folder in checkpoint_folders(tmp_path / "checkpoints"))
    assert not torch.equal(first["decoders.1.fusion.norm.running_mean"], second["decoders.1.fusion.norm.running_mean"])


def test_loss_weights_scale_the_sum(tmp_path):
    finetune(tmp_path, "--total_steps", "2", "--halves.loss_weight", "0.25", "--validation_steps", "0")
    for total, blocks, halves, _ in losses(tmp_path).values():
        assert total == pytest.approx(blocks + 0.25 * halves, rel=1e-5)


@pytest.mark.parametrize("mode", ["sdf", "mdf"])
def test_other_modes(tmp_path, mode):
    names = ("halves",) if mode == "sdf" else ("blocks", "halves")
    data = [task for task in micro_tasks() if task.name in names]
    finetune(tmp_path, "--mode", mode, "--datasets", *names, "--total_steps", "2", data=data)
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "segmenter")
    assert list(model.config.tasks) == list(names)
    assert model.config.backbone_config.num_experts == 0 and len(model.decoders) == len(names)
    assert model(torch.zeros(1, 3, 64, 64), task="halves").logits.shape == (1, 2, 64, 64)


def test_last_keeps_nothing_as_best(tmp_path):
    finetune(tmp_path, "--selection", "last", "--total_steps", "2")
    assert not (tmp_path / "best").exists()
    assert len(scores(tmp_path)) == 1


def test_a_run_goes_on_from_a_segmenter_with_its_tasks(whole_run, tmp_path):
    still = ("--total_steps", "1", "--learning_rate", "0", "--freeze_batch_norm", "--validation_steps", "0")
    finetune(tmp_path, *still, "--segmenter", str(whole_run / "segmenter"))
    for name, tensor in weights_of(whole_run).items():
        assert torch.equal(tensor, weights_of(tmp_path)[name]), name


def test_lora_trains_little_and_saves_whole_models(whole_run, tmp_path, capsys):
    peft = pytest.importorskip("peft", reason="low-rank adapters need the extra 'lora'")
    start = ("--segmenter", str(whole_run / "segmenter"), "--lora_rank", "2", "--validation_steps", "2")
    finetune(tmp_path / "whole", *start, "--total_steps", "4", "--checkpoint_steps", "2")
    before, after = weights_of(whole_run), weights_of(tmp_path / "whole")
    assert set(before) == set(after)
    layer = "backbone.encoder.layers.0"
    change = after[f"{layer}.attention.qkv.weight"] - before[f"{layer}.attention.qkv.weight"]
    assert change.abs().max() > 0 and torch.linalg.matrix_rank(change.double(), atol=1e-6) <= 2
    assert torch.equal(after[f"{layer}.attention_norm.weight"], before[f"{layer}.attention_norm.weight"])
    assert not torch.equal(
        after[f"{layer}.feed_forward.experts.1.weight"], before[f"{layer}.feed_forward.experts.1.weight"]
    )
    best = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "whole" / "best" / "halves")
    assert not any(isinstance(module, peft.tuners.lora.LoraLayer) for module in best.modules())

    parts = tmp_path / "parts"
    options = (*start, "--total_steps", "4", "--checkpoint_steps", "2")
    at_step_2 = partial(interrupt_step, step=SegmentationStep, number=1)
    stop_by_sigterm(at_step_2, lambda: finetune(parts, *options), capsys)
    finetune(parts, *options, "--resume", "auto")
    for name, tensor in after.items():
        assert torch.equal(tensor, weights_of(parts)[name]), name


class TestBadEndings:
    def test_nan_loss_keeps_the_last_good_checkpoint(self, tmp_path, monkeypatch):
        original, calls = SegmentationStep.__call__, []

        def call(self, model, batch, epoch):
            output = original(self, model, batch, epoch)
            calls.append(epoch)
            return output if len(calls) < 6 else type(output)(output.loss * float("nan"), output.scalars)

        monkeypatch.setattr(SegmentationStep, "__call__", call)
        with pytest.raises(NonFiniteLossError, match=r"loss of step 5 is not finite .*last good .*step-00000004"):
            finetune(tmp_path, "--validation_steps", "0")

    def test_another_recipe_cannot_resume(self, whole_run, tmp_path):
        checkpoint = str(newest(whole_run / "checkpoints"))
        with pytest.raises(CheckpointError, match=r"another recipe.*halves\.loss_weight: 1\.0 then, 2\.0 now"):
            finetune(tmp_path, *VARIED, "--halves.loss_weight", "2", "--resume", checkpoint)

    def test_a_new_run_does_not_mix_with_an_old_one(self, whole_run):
        with pytest.raises(CheckpointError, match="holds checkpoints already, up to step-00000010"):
            finetune(whole_run)

    def test_a_segmenter_with_other_classes_of_a_task(self, whole_run, tmp_path):
        data = micro_tasks()
        data[1] = type(data[1])("halves", ("a", "b", "c"), data[1].palette, 255, data[1].train, None)
        with pytest.raises(
            ValueError, match=r"'halves' has 2 classes in .*segmenter \(red, green\), but 3 in the data \(a, b, c\)"
        ):
            finetune(tmp_path, "--segmenter", str(whole_run / "segmenter"), data=data)

    def test_experts_where_the_mode_has_none(self, whole_run, tmp_path):
        with pytest.raises(ValueError, match="has these tasks already and experts; mode mdf differs"):
            finetune(tmp_path, "--mode", "mdf", "--segmenter", str(whole_run / "segmenter"))

    def test_masks_with_more_classes_than_the_task(self, tmp_path):
        data = micro_tasks()
        data[1] = type(data[1])("halves", ("a", "b"), data[1].palette, 255, data[0].train, None)
        with pytest.raises(ValueError, match=r"mask of '1-\d+' holds the values \[2\], but the model has 2 classes"):
            finetune(tmp_path, data=data)

    def test_adapters_without_peft(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "peft", None)
        with pytest.raises(ImportError, match=r"lora_rank needs the library peft: pip install 's5_hf\[lora\]'"):
            finetune(tmp_path, "--lora_rank", "2")
