"""MAE on a few images, and its encoder as the start of S4 pre-training."""

import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, ViTMAEForPreTraining

from s5_hf.training.checkpointing.checkpoints import checkpoint_folders
from s5_hf.training.errors import CheckpointError
from s5_hf.training.run_folder import read_log
from tests.training.pretraining import pretrain, random_samples, run_example, weights_of

SMALL = [
    *("--hidden_size", "32", "--num_hidden_layers", "4", "--num_attention_heads", "4", "--crop_size", "64"),
    *("--decoder_hidden_size", "16", "--decoder_num_hidden_layers", "1", "--decoder_num_attention_heads", "2"),
    *("--batch_size", "4", "--num_workers", "0", "--warmup_steps", "0", "--learning_rate", "1e-3"),
    *("--trackers", "none"),
]


def run(folder, *arguments, samples=None):
    run_example("pretrain_mae", folder, [*SMALL, *arguments], random_samples(12, 1) if samples is None else samples)


def test_mae_starts_s4p(tmp_path):
    run(tmp_path / "mae", "--total_steps", "3", "--patch_size", "8")
    encoder = AutoModel.from_pretrained(tmp_path / "mae" / "encoder").eval()
    mae = ViTMAEForPreTraining.from_pretrained(tmp_path / "mae" / "mae", mask_ratio=0.0).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # MAE shuffles the patches even where it hides none; its class token takes part in attention, so only what comes
    # before the first block can be equal.
    patches = mae.vit.embeddings.patch_embeddings(images) + mae.vit.embeddings.position_embeddings[:, 1:]
    torch.testing.assert_close(encoder.embeddings(images)[0], patches)
    assert patches.shape[1] == 64, "8 x 8 patches of 8 px"
    own = encoder.encoder.layers[2].feed_forward.fc1.weight
    assert any(torch.equal(own, tensor) for tensor in mae.state_dict().values() if tensor.shape == own.shape)

    pretrain(
        tmp_path / "s4p", "--total_steps", "1", "--learning_rate", "0", "--encoder", str(tmp_path / "mae/encoder")
    )
    started = weights_of(tmp_path / "s4p")
    assert torch.equal(started["backbone.encoder.layers.2.feed_forward.fc1.weight"], own)


def test_a_stopped_run_resumes_exactly(tmp_path, monkeypatch):
    run(tmp_path / "whole", "--total_steps", "4")
    calls = []
    original = ViTMAEForPreTraining.forward

    def forward(self, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ViTMAEForPreTraining, "forward", forward)
        with pytest.raises(SystemExit) as stop:
            run(tmp_path / "parts", "--total_steps", "4")
    assert stop.value.code == 128 + signal.SIGTERM and len(calls) == 2
    run(tmp_path / "parts", "--total_steps", "4", "--resume", "auto")
    whole, parts = (ViTMAEForPreTraining.from_pretrained(tmp_path / name / "mae") for name in ("whole", "parts"))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, parts.state_dict()[name]), name


def test_bad_settings(tmp_path):
    with pytest.raises(ValueError, match="crop_size 60 is not a multiple of the patch size 16"):
        run(tmp_path, "--crop_size", "60")
    with pytest.raises(ValueError, match="patch_size must be at least 1, got 0"):
        run(tmp_path, "--patch_size", "0")
    with pytest.raises(ValueError, match="--mask-ration"):
        run(tmp_path, "--mask_ration", "0.5")
    run(tmp_path, "--total_steps", "1")
    with pytest.raises(CheckpointError, match=r"another recipe\. Keys that differ: total_steps: 1 then, 2 now"):
        run(tmp_path, "--total_steps", "2", "--resume", "auto")
    (tmp_path / "checkpoints").rename(tmp_path / "kept")
    with pytest.raises(FileExistsError, match="encoder exists already"):
        run(tmp_path, "--total_steps", "1")


def test_a_checkpoint_in_the_layout_of_the_first_release_is_refused(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(CheckpointError, match=r"is a checkpoint of release 0\.1\.0, which cannot be resumed"):
        run(tmp_path, "--total_steps", "1", "--resume", "auto")


def test_a_run_leaves_its_log_and_a_whole_encoder_in_each_checkpoint(tmp_path):
    run(
        tmp_path,
        "--total_steps",
        "2",
        "--checkpoint_steps",
        "1",
        "--keep_checkpoints",
        "2",
        "--normalized_targets",
        "false",
    )
    assert [entry["step"] for entry in read_log(tmp_path)] == [2]
    first, last = (folder / "encoder" for folder in checkpoint_folders(tmp_path / "checkpoints"))
    assert AutoModel.from_pretrained(first).config.hidden_size == 32
    assert not ViTMAEForPreTraining.from_pretrained(first.parent / "mae").config.norm_pix_loss
    result = tmp_path / "encoder" / "model.safetensors"
    assert (last / "model.safetensors").read_bytes() == result.read_bytes()


class TestResume:
    """After a run of 2 steps that was stopped, or whose encoder was moved away."""

    @pytest.fixture
    def checkpoint(self, tmp_path):
        run(tmp_path, "--total_steps", "2")
        shutil.rmtree(tmp_path / "encoder")
        return tmp_path / "checkpoints" / "step-00000002"

    def test_a_path_takes_up_that_checkpoint_and_replaces_nothing(self, tmp_path, checkpoint):
        before = (checkpoint / "run.json").read_bytes()
        run(tmp_path / "other", "--total_steps", "2", "--resume", str(checkpoint))
        assert (checkpoint / "run.json").read_bytes() == before
        first, second = (load_file(folder / "mae" / "model.safetensors") for folder in (tmp_path, tmp_path / "other"))
        assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())

    def test_a_path_without_a_checkpoint_is_refused(self, tmp_path):
        with pytest.raises(CheckpointError, match="nowhere is not the folder of a checkpoint"):
            run(tmp_path / "run", "--total_steps", "1", "--resume", str(tmp_path / "nowhere"))
        assert not (tmp_path / "run").exists()

    def test_a_new_run_does_not_replace_a_checkpoint(self, tmp_path, checkpoint):
        with pytest.raises(CheckpointError, match="holds checkpoints already, up to step-00000002: resume"):
            run(tmp_path, "--total_steps", "2")
        assert checkpoint.is_dir()

    @pytest.mark.parametrize("name", ["random_states_0.pkl", "optimizer.bin", "model.safetensors"])
    def test_a_missing_file_is_refused_by_name(self, tmp_path, checkpoint, name):
        (checkpoint / "state" / name).unlink()
        with pytest.raises(CheckpointError, match=rf"{name} is missing.*--resume force"):
            run(tmp_path, "--total_steps", "2", "--resume", "auto")

    def test_other_images_are_refused_by_name_and_taken_by_force(self, tmp_path, checkpoint):
        fewer = random_samples(12, 1)[:-1]
        with pytest.raises(CheckpointError, match="'images': 12 samples then, 11 now; 1-11 missing now"):
            run(tmp_path, "--total_steps", "2", "--resume", "auto", samples=fewer)
        with pytest.warns(RuntimeWarning, match="1-11 missing now"):
            run(tmp_path, "--total_steps", "2", "--resume", "force", samples=fewer)

    @pytest.mark.parametrize("content", ["{}", "[]"])
    def test_a_description_without_content_is_refused_by_name(self, tmp_path, checkpoint, content):
        (checkpoint / "run.json").write_text(content, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"run\.json is not the description of a checkpoint"):
            run(tmp_path, "--total_steps", "2", "--resume", "auto")
