"""The keys of a pre-training recipe: phases, teacher, thresholds, encoder, selection; all of them resume exactly."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSemanticSegmentation

from s5_hf.semi_supervised import FixMatch, Supervised
from s5_hf.training.checkpointing.checkpoints import checkpoint_folders
from s5_hf.training.pretraining.kind import S4Pretraining
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.run_folder import read_log
from tests.training.pretraining import (
    HALVES,
    micro_data,
    pretrain,
    recorded_batches,
    run_in_two_processes,
    weights_of,
)

# Everything that carries something from step to step.
VARIED = (
    *("--total_steps", "6", "--checkpoint_steps", "3", "--validation_steps", "3", "--unlabelled_from_step", "2"),
    *("--teacher", "ema", "--teacher_decay", "0.9", "--threshold", "adaptive", "--threshold_floor", "0.2"),
    *("--unlabelled_ramp_steps", "2", "--unlabelled_weight", "2", "--supervised_schedule", "constant"),
    *("--encoder_rate", "0.5", "--strong_labelled_views", "--selection", "validation"),
)


def log(folder):
    """Every logged value of every step but those of time."""
    return [{k: v for k, v in entry.items() if "second" not in k} for entry in read_log(folder)]


def files(folder):
    """The bytes of all weights of a run."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def varied_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("varied")
    pretrain(folder, *VARIED)
    return folder


def test_every_key_resumes_exactly(varied_run, tmp_path):
    shutil.copytree(varied_run, tmp_path / "parts")
    first, last = checkpoint_folders(tmp_path / "parts" / "checkpoints")
    assert (first.name, last.name) == ("step-00000003", "step-00000006")
    shutil.rmtree(last)
    pretrain(tmp_path / "parts", *VARIED, "--resume", "auto")
    assert log(tmp_path / "parts") == log(varied_run)
    assert files(tmp_path / "parts") == files(varied_run)


def test_weights_by_rank_resume_exactly(tmp_path):
    options = ("--total_steps", "4", "--checkpoint_steps", "2", "--validation_steps", "0", "--threshold", "rank")
    pretrain(tmp_path / "whole", *options)
    assert all(0 < entry["mask_ratio"] < 1 for entry in read_log(tmp_path / "whole") if "loss" in entry)
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(checkpoint_folders(tmp_path / "parts" / "checkpoints")[-1])
    pretrain(tmp_path / "parts", *options, "--resume", "auto")
    assert log(tmp_path / "parts") == log(tmp_path / "whole")
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_two_processes_equal_one_with_every_key(tmp_path):
    same = ("--freeze_batch_norm", "--classifier_dropout", "0", "--drop_path_rate", "0")
    pretrain(tmp_path / "one", *VARIED, *same)
    run_in_two_processes(pretrain, tmp_path / "two", *VARIED, *same, *HALVES)
    names = ("loss", "loss_supervised", "loss_unsupervised", "mask_ratio", "agreement", "mean_confidence")
    one, two = ([e for e in read_log(tmp_path / run) if "loss" in e] for run in ("one", "two"))
    assert len(one) == len(two) == 6 and "mask_ratio" in one[-1]
    # Rounding differs with the processes, and may take a pixel over its threshold; one of 4 images of 64 x 64 adds up
    # to 2 / 4**7 times its error to a loss.
    of_few_pixels = 10 / 4**7
    for first, second in zip(one, two, strict=True):
        for name in names:
            tolerance = of_few_pixels if "mask_ratio" in first else 2e-5
            assert second.get(name) == pytest.approx(first.get(name), abs=tolerance), name
    for folder in ("segmenter", "teacher"):
        first, second = (load_file(tmp_path / run / folder / "model.safetensors") for run in ("one", "two"))
        differences = torch.cat([(second[name] - tensor).abs().flatten() for name, tensor in first.items()])
        assert (differences > 1e-4).float().mean() < 0.01 and differences.max() < 1e-2


class TestPhases:
    def test_the_supervised_phase_reads_no_unlabelled_images(self, tmp_path, monkeypatch):
        seen = []
        for method in (Supervised, FixMatch):
            original = method.__call__

            def call(self, model, labelled, unlabelled, step, original=original):
                seen.append((type(self).__name__, step, None if unlabelled is None else unlabelled.weak.sum().item()))
                return original(self, model, labelled, unlabelled, step)

            monkeypatch.setattr(method, "__call__", call)
        pretrain(tmp_path / "phases", "--total_steps", "4", "--unlabelled_from_step", "2")
        pretrain(tmp_path / "plain", "--total_steps", "2")
        assert [entry[:2] for entry in seen[:4]] == [
            ("Supervised", 0),
            ("Supervised", 1),
            ("FixMatch", 2),
            ("FixMatch", 3),
        ]
        assert [entry[2] for entry in seen[:2]] == [None, None]
        assert [entry[2] for entry in seen[2:4]] == [entry[2] for entry in seen[4:]], "their order begins after it"

    def test_each_phase_has_its_schedule(self):
        keys = {"total_steps": 10, "unlabelled_from_step": 4, "warmup_steps": 2, "schedule": "poly"}
        joint = S4Pretraining(PretrainingRecipe.make(**keys))
        assert joint.learning_rate_factor(4) == pytest.approx((1 - 2 / 8) ** 0.9)
        separate = S4Pretraining(PretrainingRecipe.make(**keys, supervised_schedule="constant"))
        factors = [separate.learning_rate_factor(step) for step in range(10)]
        assert factors[:4] == [0.5, 1, 1, 1]
        assert factors[4:] == pytest.approx([0.5, 1, 1, 0.75**0.9, 0.5**0.9, 0.25**0.9])
        keys |= {"supervised_schedule": "separate", "unlabelled_rate": 0.1}
        whole = S4Pretraining(PretrainingRecipe.make(**keys))
        assert [whole.learning_rate_factor(step) for step in range(4)] == pytest.approx([0.5, 1, 1, 0.5**0.9])
        assert [whole.learning_rate_factor(step) for step in range(4, 10)] == pytest.approx(
            [0.1 * factor for factor in factors[4:]]
        )

    def test_a_teacher_with_a_warm_up_starts_as_the_student_of_the_switch(self, tmp_path):
        options = ("--total_steps", "4", "--checkpoint_steps", "1", "--unlabelled_from_step", "2", "--teacher", "ema")
        pretrain(tmp_path, *options, "--teacher_decay", "0.5", "--teacher_schedule", "warmup")
        *_, third, fourth = checkpoint_folders(tmp_path / "checkpoints")
        student, teacher = (load_file(third / name / "model.safetensors") for name in ("segmenter", "teacher"))
        assert all(torch.equal(tensor, teacher[name]) for name, tensor in student.items())
        student, later = (load_file(fourth / name / "model.safetensors") for name in ("segmenter", "teacher"))
        name = "classifiers.0.weight"
        torch.testing.assert_close(later[name], (teacher[name] + student[name]) / 2)

    def test_the_teacher_averages_from_the_first_step(self, tmp_path):
        options = ("--total_steps", "3", "--checkpoint_steps", "1", "--unlabelled_from_step", "2", "--teacher", "ema")
        pretrain(tmp_path, *options, "--teacher_decay", "0.5")
        name = "classifiers.0.weight"
        students, teachers = (
            [
                load_file(folder / kind / "model.safetensors")[name]
                for folder in checkpoint_folders(tmp_path / "checkpoints")
            ]
            for kind in ("segmenter", "teacher")
        )
        assert len(teachers) == 3 and torch.equal(teachers[0], students[0]), "new weights are forgotten at once"
        for step in (1, 2):
            torch.testing.assert_close(teachers[step], (teachers[step - 1] + students[step]) / 2)

    def test_the_weight_of_the_unlabelled_loss_grows(self):
        method = FixMatch(unlabelled_from_step=2, unlabelled_ramp_steps=3, unlabelled_weight=2.0)
        assert [method.weight_at(step) for step in range(1, 8)] == [0, 0.5, 1, 1.5, 2, 2, 2]
        assert FixMatch().weight_at(0) == 1


def test_validation_takes_the_teacher_and_keeps_the_best(varied_run, tmp_path):
    scores = json.loads((varied_run / "best" / "mean" / "scores.json").read_text(encoding="utf-8"))
    logged = {e["step"]: e["validation/miou"] for e in read_log(varied_run) if "validation/miou" in e}
    assert scores["best"] == max(logged.values()) == logged[scores["step"]]
    best = load_file(varied_run / "best" / "mean" / "model.safetensors")
    teacher = load_file(varied_run / "checkpoints" / f"step-{scores['step']:08d}" / "teacher" / "model.safetensors")
    assert all(torch.equal(tensor, teacher[name]) for name, tensor in best.items())
    assert AutoModelForSemanticSegmentation.from_pretrained(varied_run / "best" / "mean").config.tasks
    pretrain(tmp_path, *VARIED, "--validate_on", "student")
    students = {e["step"]: e["validation/miou"] for e in read_log(tmp_path) if "validation/miou" in e}
    assert students != logged
    assert files(tmp_path)["segmenter/model.safetensors"] == files(varied_run)["segmenter/model.safetensors"]


def test_a_frozen_encoder_stays_as_it_was(tmp_path):
    pretrain(tmp_path, "--total_steps", "2", "--checkpoint_steps", "1", "--encoder_rate", "0")
    first, second = (weights_of(folder) for folder in checkpoint_folders(tmp_path / "checkpoints"))
    moved = {name for name, tensor in first.items() if not torch.equal(tensor, second[name])}
    assert moved and not any(name.startswith("backbone.") for name in moved)


def test_strong_views_of_labelled_images_change_colours_but_not_labels(tmp_path, monkeypatch):
    batches = recorded_batches(monkeypatch, Supervised)
    options = ("--method", "supervised", "--total_steps", "1", "--labelled_batch_size", "8")
    pretrain(tmp_path / "weak", *options)
    pretrain(tmp_path / "strong", *options, "--strong_labelled_views")
    (weak, _), (strong, _) = batches
    assert torch.equal(weak.labels, strong.labels)
    changed = [not torch.equal(a, b) for a, b in zip(weak.pixel_values, strong.pixel_values, strict=True)]
    assert sum(changed) >= 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unlabelled_from_step": 10}, "unlabelled_from_step is 10, but the run ends after 10 steps"),
        (
            {"unlabelled_from_step": 4, "warmup_steps": 4, "supervised_schedule": "constant"},
            "warm-up in both phases: warmup_steps must lie between 0 and 3, got 4",
        ),
        ({"unlabelled_rate": 0.5}, "and 1 without a supervised phase .*, got 0.5 and a phase of 0 steps"),
        ({"unlabelled_rate": 0.0, "unlabelled_from_step": 4}, "unlabelled_rate must be above 0"),
        ({"encoder_rate": -1.0}, "encoder_rate must not be negative"),
        ({"selection": "validation", "validation_split": "none"}, "selection: validation needs a validation_split"),
        ({"held_out_share": 1.0}, "held_out_share must lie between 0 and 1"),
        ({"labelled_choice": "covering"}, "covering chooses labelled_count images"),
        ({"labelled_choice": "balanced"}, "balanced chooses labelled_count images"),
        ({"least_share": 1.5}, "least_share must lie between 0 and 1, got 1.5"),
        ({"labelled_choice": "curated"}, "curated needs labelled_list"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PretrainingRecipe.make(total_steps=10, **settings)


def test_labelled_json_names_the_images(varied_run):
    record = json.loads((varied_run / "labelled.json").read_text(encoding="utf-8"))
    assert record["choice"] == "all" and record["count"] == 8 and record["ids"][0] == "1-0"


def test_data_without_unlabelled_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="fixmatch needs unlabelled images"):
        pretrain(tmp_path, data=micro_data(unlabelled=None))
