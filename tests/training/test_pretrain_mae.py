"""MAE on a few images, and its encoder as the start of S4 pre-training."""

import os
import signal

import pytest
import torch
from accelerate.state import AcceleratorState
from transformers import AutoModel, ViTMAEForPreTraining

from s5_hf.training.errors import CheckpointError
from s5_hf.training.signals import StopSignals
from tests.training.pretraining import example, pretrain, random_samples, weights_of

SMALL = [
    *("--hidden_size", "32", "--num_hidden_layers", "4", "--num_attention_heads", "4", "--crop_size", "64"),
    *("--decoder_hidden_size", "16", "--decoder_num_hidden_layers", "1", "--decoder_num_attention_heads", "2"),
    *("--batch_size", "4", "--num_workers", "0", "--warmup_steps", "0", "--learning_rate", "1e-3"),
]


def run(folder, *arguments):
    AcceleratorState._reset_state(reset_partial_state=True)
    example("pretrain_mae").main([*SMALL, "--output_dir", str(folder), *arguments], random_samples(12, 1))


def test_mae_starts_s4p(tmp_path):
    run(tmp_path / "mae", "--total_steps", "3")
    encoder = AutoModel.from_pretrained(tmp_path / "mae" / "encoder").eval()
    mae = ViTMAEForPreTraining.from_pretrained(tmp_path / "mae" / "mae", mask_ratio=0.0).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    # MAE shuffles the patches even where it hides none; its class token takes part in attention, so only what comes
    # before the first block can be equal.
    patches = mae.vit.embeddings.patch_embeddings(images) + mae.vit.embeddings.position_embeddings[:, 1:]
    torch.testing.assert_close(encoder.embeddings(images)[0], patches)
    own = encoder.encoder.layers[2].feed_forward.fc1.weight
    assert any(torch.equal(own, tensor) for tensor in mae.state_dict().values() if tensor.shape == own.shape)

    pretrain(
        tmp_path / "s4p", "--total_steps", "1", "--learning_rate", "0", "--encoder", str(tmp_path / "mae/encoder")
    )
    started = weights_of(tmp_path / "s4p")
    assert torch.equal(started["backbone.encoder.layers.2.feed_forward.fc1.weight"], own)


def test_a_stopped_run_goes_on_exactly(tmp_path, monkeypatch):
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
    with pytest.raises(ValueError, match="--mask_ration"):
        run(tmp_path, "--mask_ration", "0.5")
    run(tmp_path, "--total_steps", "1")
    with pytest.raises(FileExistsError, match="encoder exists already"):
        run(tmp_path, "--total_steps", "1")
    (tmp_path / "encoder").rename(tmp_path / "kept")
    with pytest.raises(CheckpointError, match="other settings: total_steps: 1 then, 2 now"):
        run(tmp_path, "--total_steps", "2", "--resume", "auto")


def test_a_second_signal_acts_as_usual():
    received = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.received == signal.SIGTERM and received == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)
