"""A run that a recipe alone describes: folders on disk, streamed or indexed, with its trackers."""

from types import SimpleNamespace

import pytest
from accelerate import DistributedType
from accelerate.state import AcceleratorState

from s5_hf.training.pretraining.recipe import PretrainingRecipe
from s5_hf.training.pretraining.recipe_method import make_recipe_method
from s5_hf.training.programs import PROGRAMS
from s5_hf.training.run_folder import read_log
from s5_hf.training.running import refuse_nondeterminism
from s5_hf.training.setup import make_accelerator, set_up
from s5_hf.training.sharing import refuse_sharding
from tests.training import detecting, finetuning
from tests.training.pretraining import MICRO, pretrain_files, write_folders
from tests.training.reasoning import SMALL


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("folders"), train=24, val=2)


def run(folders, output_dir, *arguments):
    settings = (
        *("--labelled_dataset", "s5-image-mask", "--labelled_dir", str(folders), "--classes", "red", "green", "blue"),
        *("--unlabelled_dataset", "s5-image-mask", "--unlabelled_dir", str(folders)),
        *("--total_steps", "8", "--checkpoint_steps", "5"),
    )
    pretrain_files(output_dir, *settings, *arguments)


def losses(folder):
    return {entry["step"]: entry["loss"] for entry in read_log(folder) if "loss" in entry}


def test_a_streamed_run_resumes_exactly_over_the_end_of_an_epoch(folders, tmp_path):
    streamed = ("--streaming", "--num_workers", "1")
    run(folders, tmp_path / "whole", *streamed)
    run(folders, tmp_path / "parts", *streamed)
    last = tmp_path / "parts" / "checkpoints" / "step-00000008"
    last.rename(tmp_path / "elsewhere")  # as if the run had been killed after step 5
    run(folders, tmp_path / "parts", *streamed, "--resume", "auto")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert sorted(losses(tmp_path / "whole")) == list(range(1, 9))


@pytest.mark.parametrize("native", [True, False])
def test_a_recipe_says_what_auto_became(monkeypatch, native):
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr("s5_hf.training.setup.has_native_bf16", lambda device: native)
    recipe = PretrainingRecipe.make(mixed_precision="auto", trackers=["none"])
    accelerator = make_accelerator(recipe)
    expected = "bf16" if native else "no"
    assert accelerator.mixed_precision == recipe.optimizer.mixed_precision == expected
    assert f"mixed_precision: {expected}" in recipe.to_yaml().replace("'", "")


def test_tensorboard_is_written_and_the_rest_is_unlabelled(folders, tmp_path):
    few = ("--labelled_count", "6", "--unlabelled_dataset", "rest", "--total_steps", "1")
    run(folders, tmp_path, *few, "--trackers", "tensorboard")
    events = [path for path in (tmp_path / "s4p").iterdir() if "tfevents" in path.name]
    assert events and b"loss_unsupervised" in events[0].read_bytes()


def test_a_method_gets_its_own_options():
    method = make_recipe_method(
        PretrainingRecipe.make(method="unimatch_v2", teacher_decay=0.9, confidence_threshold=0.8)
    )
    assert (method.teacher_decay, method.confidence_threshold) == (0.9, 0.8)
    assert make_recipe_method(PretrainingRecipe.make(method="supervised")).name == "supervised"


def accelerator(kind, version=2):
    plugin = SimpleNamespace(fsdp_version=version)
    return SimpleNamespace(distributed_type=kind, state=SimpleNamespace(fsdp_plugin=plugin))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("s4p", MICRO),
        ("segmentation", finetuning.MICRO),
        ("detection", detecting.MICRO),
        ("reasoning", [*SMALL, "--language_model", "folder"]),
    ],
)
def test_adapters_are_refused_with_sharded_weights_before_anything_is_read(monkeypatch, program, words):
    sharded = accelerator(DistributedType.FSDP)
    monkeypatch.setattr("s5_hf.training.setup.make_accelerator", lambda recipe: sharded)
    kind = PROGRAMS[program].kind(PROGRAMS[program].recipe.read([*words, "--lora_rank", "2"]), None)
    with pytest.raises(ValueError, match=r"^lora_rank: this needs whole weights, which FSDP does not keep"):
        set_up(kind)
    whole = PROGRAMS[program].kind(PROGRAMS[program].recipe.read(words), None)
    assert whole.needs_whole_weights == ""


def test_sharded_weights_are_refused_where_whole_ones_are_needed_and_in_version_1():
    with pytest.raises(ValueError, match="lora_rank: this needs whole weights, which FSDP does not keep"):
        refuse_sharding(accelerator(DistributedType.FSDP), "lora_rank")
    with pytest.raises(ValueError, match="FSDP of version 1 is not supported"):
        refuse_sharding(accelerator(DistributedType.FSDP, version=1), "")
    refuse_sharding(accelerator(DistributedType.FSDP), "")
    refuse_sharding(accelerator(DistributedType.MULTI_GPU, version=1), "lora_rank")


def test_an_operation_without_a_deterministic_form_is_named():
    error = RuntimeError("some_backward_cuda does not have a deterministic implementation, but you set ...")
    with pytest.raises(ValueError, match=r"deterministic: true cannot be kept .* no deterministic form of some_back"):
        refuse_nondeterminism(error)
    refuse_nondeterminism(RuntimeError("something else"))
