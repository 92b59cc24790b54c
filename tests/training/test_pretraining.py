"""Whole runs of examples/pretrain_s4p.py: reproducible, resumable, and ending with a message that helps."""

import json
import os
import shutil
import signal
from functools import partial
from importlib.metadata import version

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSemanticSegmentation

from s5_hf.semi_supervised import FixMatch
from s5_hf.training.checkpointing.checkpoints import checkpoint_folders, newest
from s5_hf.training.errors import CheckpointError, DataWorkerError, NonFiniteLossError
from s5_hf.training.kind import TrainingKind
from s5_hf.training.run_folder import read_log
from tests.fresh_process import FreshProcess
from tests.shifted_weights import shifted_parameters
from tests.training.pretraining import (
    HALVES,
    micro_data,
    pretrain,
    random_samples,
    recorded_batches,
    run_in_two_processes,
    stop_by_sigterm,
)
from tests.training.pretraining import weights_of as weights

# Everything random at once, and an average of the weights.
VARIED = ("--weight_average_decay", "0.9", "--classifier_dropout", "0.1", "--drop_path_rate", "0.1")


def losses(folder):
    """Loss parts of every step."""
    names = ("loss", "loss_supervised", "loss_unsupervised", "mask_ratio", "learning_rate")
    return {e["step"]: tuple(e[n] for n in names if n in e) for e in read_log(folder) if "loss" in e}


def assert_equal_runs(first, second):
    assert losses(first) == losses(second)
    for name, tensor in weights(first).items():
        assert torch.equal(tensor, weights(second)[name]), name
    first_text, second_text = configurations(first), configurations(second)
    assert {"segmenter/config.json", "encoder/config.json"} <= first_text.keys() & second_text.keys()
    for name in first_text.keys() & second_text.keys():
        assert first_text[name] == second_text[name], name


def configurations(folder):
    """The text of every config.json of a run, those of its checkpoints included."""
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("config.json")}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """An uninterrupted run of 20 steps."""
    folder = tmp_path_factory.mktemp("whole")
    pretrain(folder, *VARIED)
    return folder


def interrupt_at(monkeypatch, action, step):
    """Run `action` when FixMatch reaches a step."""
    original = FixMatch.__call__

    def call(self, model, labelled, unlabelled, at):
        if at == step:
            action()
        return original(self, model, labelled, unlabelled, at)

    monkeypatch.setattr(FixMatch, "__call__", call)


def test_what_a_run_leaves(whole_run):
    assert sorted(losses(whole_run)) == list(range(1, 21))
    folders = checkpoint_folders(whole_run / "checkpoints")
    assert [folder.name for folder in folders] == ["step-00000010", "step-00000015", "step-00000020"]
    entry = read_log(whole_run)[0]
    assert entry["images_per_second"] > 0
    assert sum(entry[f"pseudo_label_share/{label}"] for label in ("red", "green", "blue")) == pytest.approx(1)
    validations = [entry for entry in read_log(whole_run) if "validation/miou" in entry]
    assert [entry["step"] for entry in validations] == [10, 20]
    assert {"validation/iou/red", "validation/confident_accuracy", "validation/histogram_drift"} <= set(validations[0])
    assert (whole_run / "panels" / "step-00000020.png").stat().st_size > 1000
    environment = json.loads((whole_run / "environment.json").read_text(encoding="utf-8"))
    assert environment["packages"]["torch"] == version("torch")  # of the wheel; torch may add "+cu132" to its own
    assert "git_commit" in environment
    assert not list(whole_run.glob("**/*partial*"))


def test_the_result_loads_with_the_auto_classes(whole_run):
    segmenter = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "segmenter")
    encoder = AutoModel.from_pretrained(whole_run / "encoder").eval()
    assert segmenter.config.tasks == {"blocks": ["red", "green", "blue"]}
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, segmenter.backbone.state_dict()[name]), name
    average = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "average")
    assert not torch.equal(average.classifiers[0].weight, segmenter.classifiers[0].weight)


def test_it_learns(tmp_path, one_thread):
    pretrain(tmp_path, *VARIED, "--learning_rate", "1e-2")
    values = losses(tmp_path)
    assert np.mean([values[step][1] for step in range(16, 21)]) < 0.8 * np.mean([values[s][1] for s in range(1, 4)])


def test_two_runs_are_equal(whole_run, tmp_path):
    pretrain(tmp_path, *VARIED)
    assert_equal_runs(whole_run, tmp_path)


def test_stopped_at_7_killed_at_13_and_resumed_equals_the_whole_run(whole_run, tmp_path, capsys):
    stop_by_sigterm(partial(interrupt_at, step=6), lambda: pretrain(tmp_path, *VARIED), capsys)
    assert newest(tmp_path / "checkpoints").name == "step-00000007"

    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import pytest\n"
        "from tests.training.pretraining import pretrain\n"
        "from tests.training.test_pretraining import interrupt_at\n"
        "interrupt_at(pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), signal.SIGKILL), 12)\n"
        "pretrain(Path(sys.argv[1]), *sys.argv[2:])\n"
    )
    process = FreshProcess(code, tmp_path, *VARIED, "--resume", "auto")
    output = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, output
    assert newest(tmp_path / "checkpoints").name == "step-00000010"

    pretrain(tmp_path, *VARIED, "--resume", "auto")
    assert_equal_runs(whole_run, tmp_path)


def forget_after_first_checkpoint(folder):
    """As if the run had been killed after step 2."""
    first, *later = checkpoint_folders(folder / "checkpoints")
    assert first.name == "step-00000002" and later
    for checkpoint in later:
        shutil.rmtree(checkpoint)


@pytest.mark.parametrize("method", ["supervised", "unimatch_v2", "fixmatch --teacher ema --unlabelled_from_step 1"])
def test_other_methods_resume_exactly_too(method, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--method", *method.split(), "--total_steps", "4", "--checkpoint_steps", "2", "--schedule", "constant")
    pretrain(whole, *options)
    pretrain(parts, *options)
    forget_after_first_checkpoint(parts)
    pretrain(parts, *options, "--resume", "auto", "--num_workers", "2")
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(parts)[name]), name


@pytest.mark.parametrize("method", ["fixmatch", "unimatch_v2"])
def test_resume_is_exact_wherever_the_weights_lie(method, tmp_path):
    """Each part of the run puts its weights at other addresses, where matrix libraries choose other kernels."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    options = ("--method", method, "--total_steps", "4", "--checkpoint_steps", "2", "--validation_steps", "0")
    pretrain(whole, *options)
    with shifted_parameters(seed=1):
        pretrain(parts, *options)
    forget_after_first_checkpoint(parts)
    with shifted_parameters(seed=9):
        pretrain(parts, *options, "--resume", "auto")
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(parts)[name]), name


def test_lora_adapts_a_pretraining_and_its_teacher(whole_run, tmp_path):
    pytest.importorskip("peft", reason="low-rank adapters need the extra 'lora'")
    start = ("--segmenter", str(whole_run / "segmenter"), "--lora_rank", "2", "--method", "unimatch_v2")
    pretrain(tmp_path, *start, "--total_steps", "2", "--checkpoint_steps", "2", "--validation_steps", "0")
    before = AutoModelForSemanticSegmentation.from_pretrained(whole_run / "segmenter").state_dict()
    for name in ("segmenter", "teacher"):
        after = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / name).state_dict()
        assert set(after) == set(before)
        layer = "backbone.encoder.layers.0.attention"
        change = (after[f"{layer}.qkv.weight"] - before[f"{layer}.qkv.weight"]).double()
        assert change.abs().max() > 0 and torch.linalg.matrix_rank(change, atol=1e-6) <= 2
        assert torch.equal(after[f"{layer}_norm.weight"], before[f"{layer}_norm.weight"])


def test_adapters_in_a_frozen_encoder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="encoder_rate: 0 freezes the encoder, in which lora_rank puts adapters"):
        pretrain(tmp_path, "--lora_rank", "2", "--encoder_rate", "0")


@pytest.fixture
def optimizer_steps(monkeypatch):
    """Gradient norm and learning rates of every step that an optimizer makes."""
    steps, original = [], torch.optim.AdamW.step

    def step(self, *arguments, **options):
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        steps.append((torch.cat(gradients).norm().item(), {group["lr"] for group in self.param_groups}))
        return original(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return steps


def test_clipping_layer_decay_and_accumulation_reach_the_optimizer(tmp_path, optimizer_steps):
    pretrain(tmp_path / "plain", "--total_steps", "2", "--layer_decay", "1")
    assert len(optimizer_steps) == 2
    assert all(norm > 0.2 and len(rates) == 1 for norm, rates in optimizer_steps)
    optimizer_steps.clear()
    options = ("--gradient_clip", "0.1", "--layer_decay", "0.8", "--gradient_accumulation", "2", "--num_workers", "1")
    pretrain(tmp_path / "varied", "--total_steps", "2", *options)
    assert len(optimizer_steps) == 2, "two batches make one step"
    for norm, rates in optimizer_steps:
        assert norm == pytest.approx(0.1, rel=1e-3)
        assert len(rates) == 4 + 2, "one rate per layer, one for the embeddings, one for the decoder"


def test_the_second_batch_is_the_partner_of_cutmix(tmp_path, monkeypatch):
    batches = recorded_batches(monkeypatch, FixMatch)
    pretrain(tmp_path, "--total_steps", "2", "--cutmix_partner", "second_batch")
    for _, batch in batches:
        assert batch.partner.weak.shape == batch.weak.shape
        assert not torch.equal(batch.partner.weak, batch.weak)
    assert len(batches) == 2


def test_bf16_stays_close_to_float32(tmp_path):
    for precision in ("no", "bf16"):
        pretrain(tmp_path / precision, "--total_steps", "1", "--mixed_precision", precision)
    exact, half = (losses(tmp_path / precision)[1][1] for precision in ("no", "bf16"))
    assert half != exact and half == pytest.approx(exact, rel=0.02)


def test_accumulated_gradients_are_those_of_the_whole_batch(tmp_path):
    """Also where one half has more padding than the other."""
    data = micro_data(validation=None)
    options = ("--total_steps", "3", "--freeze_batch_norm", "--classifier_dropout", "0", "--drop_path_rate", "0")
    pretrain(tmp_path / "one", *options, "--labelled_batch_size", "4", data=data)
    halves = ("--labelled_batch_size", "2", "--unlabelled_batch_size", "2", "--gradient_accumulation", "2")
    pretrain(tmp_path / "two", *options, *halves, data=data)
    for step, values in losses(tmp_path / "one").items():
        assert losses(tmp_path / "two")[step] == pytest.approx(values, abs=1e-5)


def test_two_processes_with_half_the_batch_equal_one(tmp_path):
    options = (
        *("--total_steps", "6", "--checkpoint_steps", "3", "--freeze_batch_norm", "--classifier_dropout", "0"),
        *("--drop_path_rate", "0", "--validation_steps", "3"),
    )
    pretrain(tmp_path / "one", *options)
    run_in_two_processes(pretrain, tmp_path / "two", *options, *HALVES)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert sorted(one) == sorted(two) == list(range(1, 7))
    for step in one:
        assert two[step] == pytest.approx(one[step], abs=1e-5)
    for name, tensor in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], tensor, rtol=0, atol=1e-4, msg=name)
    scores = [[e for e in read_log(tmp_path / run) if "validation/miou" in e] for run in ("one", "two")]
    assert len(scores[0]) == 2
    for first, second in zip(*scores, strict=True):
        assert second["validation/miou"] == pytest.approx(first["validation/miou"], abs=0.1)
    resume_in_one_process(tmp_path / "two", options)
    resumed = losses(tmp_path / "two")
    assert all(resumed[step] == pytest.approx(one[step], abs=1e-5) for step in one)


def resume_in_one_process(folder, options):
    """What two processes began, one takes up that makes two micro-steps; other divisions of a step are refused."""
    last = folder / "checkpoints" / "step-00000006"
    last.rename(folder.parent / "elsewhere")
    with pytest.raises(CheckpointError, match=r"a step would have other images .labelled_batch_size 2 then, 1 now"):
        pretrain(folder, *options, *HALVES, "--resume", "auto")
    pretrain(folder, *options, *HALVES, "--gradient_accumulation", "2", "--resume", "auto")


class TestBadEndings:
    def test_nan_loss_keeps_the_last_good_checkpoint(self, tmp_path, monkeypatch):
        original = FixMatch.__call__

        def call(self, model, labelled, unlabelled, step):
            output = original(self, model, labelled, unlabelled, step)
            return output if step < 6 else type(output)(output.loss * float("nan"), output.scalars)

        monkeypatch.setattr(FixMatch, "__call__", call)
        with pytest.raises(NonFiniteLossError, match=r"loss of step 6 is not finite .*last good .*step-00000005"):
            pretrain(tmp_path)
        kept = newest(tmp_path / "checkpoints")
        assert kept.name == "step-00000005"
        assert all(torch.isfinite(t).all() for t in weights(kept).values() if t.is_floating_point())

    def test_a_full_disk_keeps_the_last_good_checkpoint(self, tmp_path):
        resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        pretrain(tmp_path, "--total_steps", "10", "--validation_steps", "0")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
            with pytest.raises(CheckpointError, match=r"step 5 could not be written.*no earlier checkpoint"):
                pretrain(tmp_path / "full")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list((tmp_path / "full" / "checkpoints").iterdir()) == []

    def test_a_disk_that_fills_later(self, tmp_path, monkeypatch):
        save = TrainingKind.save_networks

        def fail_later(kind, model, folder, state_dict):
            save(kind, model, folder, state_dict)
            if "00000010" in folder.name:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(TrainingKind, "save_networks", fail_later)
        with pytest.raises(CheckpointError, match=r"step 10 .*disk is full.*last good checkpoint is .*step-00000005"):
            pretrain(tmp_path)
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]

    def test_a_dead_worker_is_explained(self, tmp_path):
        data = micro_data(unlabelled=Deadly(random_samples(8, 2)))
        with pytest.raises(DataWorkerError, match=r"worker process that reads data died.*num_workers"):
            pretrain(tmp_path, "--num_workers", "1", data=data)

    def test_a_broken_sample_is_named(self, tmp_path):
        samples = random_samples(8, 1)
        samples[3]["mask"][0, 0] = 9
        with pytest.raises(ValueError, match=r"'1-3' holds the values \[9\], but the model has 3 classes"):
            pretrain(tmp_path, data=micro_data(labelled=samples))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"labelled": []}, "labelled dataset is empty"),
            ({"unlabelled": []}, "unlabelled dataset is empty"),
            ({"unlabelled": None}, "fixmatch needs unlabelled images"),
            (
                {"unlabelled": [{"id": "n", "image": np.zeros((72, 72, 4), np.uint8)}] * 4},
                "unlabelled image 'n' has 4 channels, the model takes 3",
            ),
        ],
    )
    def test_bad_data(self, tmp_path, changes, message):
        with pytest.raises(ValueError, match=message):
            pretrain(tmp_path, data=micro_data(**changes))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--crop_size", "60"), "crop_size 60 is not a multiple of the patch size 16"),
            (("--mean_excludes", "sky"), "mean_excludes names sky; the classes: red, green, blue"),
            (("--trackers", "mlflo"), "trackers not known or not installed: mlflo"),
            (("--image_mean", "0", "0", "0", "0"), "image_mean has 4 channels, image_std 3"),
        ],
    )
    def test_bad_settings(self, tmp_path, arguments, message):
        with pytest.raises(ValueError, match=message):
            pretrain(tmp_path, *arguments, "--total_steps", "1")

    def test_another_recipe_cannot_resume(self, whole_run, tmp_path):
        with pytest.raises(CheckpointError, match=r"another recipe.*learning_rate: 0\.001 then, 0\.002 now"):
            pretrain(tmp_path, *VARIED, "--learning_rate", "2e-3", "--resume", str(newest(whole_run / "checkpoints")))

    def test_a_new_run_does_not_mix_with_an_old_one(self, whole_run):
        with pytest.raises(CheckpointError, match="holds checkpoints already, up to step-00000020"):
            pretrain(whole_run)

    def test_an_older_checkpoint_of_the_same_run_is_refused(self, whole_run):
        older = whole_run / "checkpoints" / "step-00000010"
        with pytest.raises(CheckpointError, match="not the newest checkpoint of its run, which is step-00000020"):
            pretrain(whole_run, *VARIED, "--resume", str(older))

    def test_no_checkpoint(self, tmp_path):
        with pytest.raises(CheckpointError, match="nowhere is not the folder of a checkpoint"):
            pretrain(tmp_path, "--resume", str(tmp_path / "nowhere"))

    def test_a_network_with_other_classes(self, whole_run, tmp_path):
        data = micro_data(labels=("a", "b"), palette=((0, 0, 0), (9, 9, 9)))
        with pytest.raises(ValueError, match="has 3 classes in 1 task"):
            pretrain(tmp_path, "--segmenter", str(whole_run / "segmenter"), data=data)


class Deadly(list):
    """Samples whose reading kills the process, unless it is the main one."""

    main = os.getpid()

    def __getitem__(self, index):
        if os.getpid() != self.main:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_whole_segmenter_or_an_encoder_can_start_a_run(whole_run, tmp_path):
    one_step = ("--total_steps", "1", "--learning_rate", "0", "--warmup_steps", "0")
    pretrain(tmp_path / "a", *one_step, "--segmenter", str(whole_run / "segmenter"))
    pretrain(tmp_path / "b", *one_step, "--encoder", str(whole_run / "encoder"))
    expected = weights(whole_run)
    for name, tensor in weights(tmp_path / "b").items():
        if name.startswith("backbone."):
            assert torch.equal(tensor, expected[name]), name
    assert torch.equal(weights(tmp_path / "a")["classifiers.0.weight"], expected["classifiers.0.weight"])
