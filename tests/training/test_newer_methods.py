"""UniMatch V2 as published, RS-MTDF and DWL in the loop: exact resume, two processes, what is saved and refused."""

import contextlib
import json
import shutil
import socket

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForSemanticSegmentation, CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model

from s5_hf.semi_supervised.frozen_teacher import load_frozen_teacher
from s5_hf.training.kind import Training
from s5_hf.training.pretraining.kind import S4Pretraining
from s5_hf.training.pretraining.recipe import PretrainingRecipe
from tests.fresh_process import run_in_processes
from tests.open_models import write_tiny_model
from tests.training.pretraining import MICRO, micro_data, pretrain, weights_of
from tests.training.test_by_names import options as by_names
from tests.training.test_pretraining import forget_after_first_checkpoint, losses

TINY = {"num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16}


def save_teacher(network, folder, mean=0.5):
    torch.manual_seed(1)
    network.save_pretrained(folder)
    settings = {"image_mean": [mean] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return str(folder)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """One that takes images of any size, with a class token, and one of 32 px."""
    folder = tmp_path_factory.mktemp("teachers")
    clip = CLIPVisionConfig(hidden_size=8, intermediate_size=16, image_size=32, **TINY)
    return [
        save_teacher(Dinov2Model(Dinov2Config(hidden_size=12, image_size=64, **TINY)), folder / "dino"),
        save_teacher(CLIPVisionModel(clip), folder / "clip", mean=0.4) + "@32",
    ]


def options_of(method, teachers):
    """Options of a method on a micro network without dropout."""
    plain = ("--decoder", "dpt", "--decoder_channels", "8", "--classifier_dropout", "0", "--drop_path_rate", "0")
    own = {
        "unimatch_v2": (*plain, "--ohem_threshold", "0.7", "--ohem_min_kept", "1", "--channel_dropout", "false"),
        "rs_mtdf": (*plain, "--frozen_teachers", *teachers, "--translator_channels", "8"),
        "dwl": (
            *("--decoder", "segformer", "--decoder_channels", "8", "--classifier_dropout", "0"),
            *("--drop_path_rate", "0", "--mixing_steps", "2", "--mixing_share", "0.5", "--freeze_batch_norm"),
            *("--cutmix_probability", "0", "--schedule_period", "2", "--weights_from_step", "1"),
        ),
    }
    return (
        *("--method", method, "--validation_steps", "0", "--total_steps", "4", "--checkpoint_steps", "2"),
        *("--encoder_rate", "0.25", "--schedule", "poly", "--schedule_delay", "1", *own[method]),
    )


METHODS = ("unimatch_v2", "rs_mtdf", "dwl")


@pytest.mark.parametrize("method", METHODS)
def test_exact_resume_and_a_network_that_stands_alone(method, teachers, tmp_path):
    options = ("--cutmix_partner", "reversed_batch", *options_of(method, teachers))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(whole, *options)
    shutil.copytree(whole, parts)
    forget_after_first_checkpoint(parts)
    pretrain(parts, *options, "--resume", "auto")
    for name, tensor in weights_of(whole).items():
        assert torch.equal(tensor, weights_of(parts)[name]), name
    model, report = AutoModelForSemanticSegmentation.from_pretrained(whole / "segmenter", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model(torch.zeros(1, 3, 48, 40)).logits.shape == (1, 3, 48, 40)
    assert not any("teacher" in name for name in weights_of(whole))


ALL_RUNS = """
import json, os, sys
from pathlib import Path
from tests.training.pretraining import pretrain
ports = sys.argv[3:]  # one for each run: the one before may still hold its own
for method, options in json.loads(sys.argv[2]).items():
    os.environ["MASTER_PORT"] = ports.pop()
    pretrain(Path(sys.argv[1]) / method, *options)
print("ended")
"""


def test_two_processes_with_half_the_batch_equal_one(teachers, tmp_path):
    """All methods in one pair of processes, which take longer to start than to train."""
    runs = {method: [*options_of(method, teachers), "--checkpoint_steps", "4"] for method in METHODS}
    named = write_tiny_model(tmp_path / "named")
    runs["open_vocabulary"] = [*by_names(str(named)), "--freeze_batch_norm", "--checkpoint_steps", "4"]
    for method, options in runs.items():
        pretrain(tmp_path / "one" / method, *options)
    halves = ["--labelled_batch_size", "1", "--unlabelled_batch_size", "2"]
    words = json.dumps({method: [*options, *halves] for method, options in runs.items()})
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in runs]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        ports = [probe.getsockname()[1] for probe in sockets]
    run_in_processes(2, ALL_RUNS, tmp_path / "two", words, *ports)
    for method in runs:
        one, two = losses(tmp_path / "one" / method), losses(tmp_path / "two" / method)
        assert sorted(one) == sorted(two) == list(range(1, 5))
        for step in one:
            assert two[step] == pytest.approx(one[step], abs=2e-5), (method, step)
        for name, tensor in weights_of(tmp_path / "one" / method).items():
            other = weights_of(tmp_path / "two" / method)[name]
            torch.testing.assert_close(other, tensor, rtol=0, atol=2e-4, msg=f"{method} {name}")


class TestTeachers:
    def test_they_have_their_own_normalisation(self, teachers):
        dino, clip = (load_frozen_teacher(word) for word in teachers)
        assert (dino.image_size, clip.image_size, dino.mean, clip.mean) == (None, 32, [0.5] * 3, [0.4] * 3)
        images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        tokens = dino.tokens(images, [0.0] * 3, [1.0] * 3)
        assert tokens.shape == (2, 12, 12) and not tokens.requires_grad
        expected = dino.network(pixel_values=(images - 0.5) / 0.25).last_hidden_state[:, 1:]
        torch.testing.assert_close(tokens, expected)
        assert clip.tokens(images, [0.0] * 3, [1.0] * 3).shape == (2, 4, 8)

    def test_another_patch_size(self, tmp_path, teachers):
        settings = {**TINY, "patch_size": 8, "hidden_size": 8, "image_size": 32}
        other = save_teacher(Dinov2Model(Dinov2Config(**settings)), tmp_path / "other")
        options = ("--method", "rs_mtdf", "--decoder", "dpt", "--total_steps", "1", "--frozen_teachers")
        with pytest.raises(ValueError, match=r"other has patches of 8 px, the student's backbone has 16"):
            pretrain(tmp_path / "run", *options, other)
        with pytest.raises(ValueError, match="fused into the maps of a plain ViT: this needs decoder: dpt"):
            pretrain(tmp_path / "run", *options, teachers[0], "--decoder", "upernet")
        with pytest.raises(ValueError, match=r"does not take images of 64 x 64 pixels .*clip@32"):
            pretrain(tmp_path / "run", *options, teachers[1].removesuffix("@32"))

    def test_a_missing_one(self, tmp_path):
        options = ("--method", "rs_mtdf", "--decoder", "dpt", "--total_steps", "1")
        with pytest.raises(ValueError, match="rs_mtdf needs frozen_teachers"):
            pretrain(tmp_path / "run", *options)
        with pytest.raises(FileNotFoundError, match=r"the teacher .*none cannot be loaded"):
            pretrain(tmp_path / "run", *options, "--frozen_teachers", str(tmp_path / "none"))
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match=r"the teacher .*empty cannot be loaded: Unrecognized model"):
            pretrain(tmp_path / "run", *options, "--frozen_teachers", str(tmp_path / "empty"))

    def test_one_without_normalisation_or_with_a_wrong_side(self, tmp_path, teachers):
        folder = tmp_path / "bare"
        shutil.copytree(teachers[0], folder)
        (folder / "preprocessor_config.json").write_text("{}", encoding="utf-8")
        with pytest.raises(ValueError, match="bare does not say how its images are normalised"):
            load_frozen_teacher(str(folder))
        with pytest.raises(ValueError, match="the side is no multiple of its patches of 16 px"):
            load_frozen_teacher(f"{teachers[0]}@40")
        with pytest.raises(ValueError, match="expected name@side with the side in pixels"):
            load_frozen_teacher(f"{teachers[0]}@large")


def test_dwl_needs_the_steps_of_an_epoch(tmp_path):
    with pytest.raises(ValueError, match="dwl needs mixing_steps of at least 1, got 0"):
        pretrain(tmp_path, "--method", "dwl", "--total_steps", "1")
    with pytest.raises(ValueError, match="leave out unlabelled_from_step, got 1; weights_from_step says"):
        pretrain(
            tmp_path, "--method", "dwl", "--total_steps", "2", "--mixing_steps", "1", "--unlabelled_from_step", "1"
        )


class CountedAccelerator:
    device, process_index, num_processes = torch.device("cpu"), 0, 1


@pytest.mark.parametrize("method", ["fixmatch", *METHODS, "open_vocabulary"])
def test_the_flops_of_a_step_are_those_that_it_makes(method, teachers, tmp_path, monkeypatch):
    """In the supervised phase, where there is one, and after it."""
    monkeypatch.setattr("s5_hf.training.pretraining.kind.peak_flops", lambda device: 1.0)
    options = ["--decoder_channels", "8", "--unlabelled_from_step", "1", "--cutmix_partner", "second_batch"]
    if method in METHODS:
        options = options_of(method, teachers)
    elif method == "open_vocabulary":
        options = by_names(str(write_tiny_model(tmp_path / "named")))
    words = [*MICRO, "--method", method, *options, "--output_dir", str(tmp_path)]
    kind = S4Pretraining(PretrainingRecipe.read(words), micro_data())
    kind.load(processes=1)
    model = kind.make_model().train()
    kind.attach(model)
    rates = kind.make_throughput(model, processes=1)
    batches = kind.batches(Training(CountedAccelerator(), model), 0)
    made = []
    for step in range(2):
        (batch,) = kind.counted_together([next(batches)])
        with FlopCounterMode(display=False) as counter:
            kind.step(model, batch, step).loss.backward()
        made.append(counter.get_total_flops())
    first = rates.first_work if rates.first_steps else rates.work
    # DWL shows its unlabelled images to the other classifier too, for its batch norm; that is not counted.
    assert [first.flops, rates.work.flops] == pytest.approx(made, rel=0.03 if method == "dwl" else 1e-9)
    assert (made[0] < 0.5 * made[1]) == (method == "fixmatch")
