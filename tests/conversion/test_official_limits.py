"""What the official layout cannot hold is refused, and what can be told beside it comes back."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.modeling import (
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
)
from tests.conftest import MICRO_VIT, micro_segmentation_config, randomise

TAPS = [0, 1, 2, 4]


def saved(model, folder):
    randomise(model).eval().save_pretrained(folder)
    return folder


def segmenter(vit=None, **settings):
    backbone = S5ViTConfig(**{**MICRO_VIT, **(vit or {})})
    tasks = {"fields": ["soil", "crop", "water"]}
    return S5ForSemanticSegmentation(
        S5SegmentationConfig(backbone_config=backbone, tasks=tasks, decoder_channels=16, **settings)
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: segmenter({"out_indices": TAPS}),
            r"out_indices is \[0, 1, 2, 4\] and would be read as \[1, 2, 3, 4\]",
        ),
        (lambda: segmenter({"hidden_act": "relu"}), "hidden_act is 'relu' and would be read as 'gelu'"),
        (lambda: segmenter({"layer_norm_eps": 1e-6}), "layer_norm_eps is 1e-06 and would be read as 1e-05"),
        (
            lambda: segmenter(pool_scales=(1, 2, 3, 4)),
            r"pool_scales is \[1, 2, 3, 4\] and would be read as \[1, 2, 3, 6\]",
        ),
        (lambda: S5ViTBackbone(S5ViTConfig(**MICRO_VIT, use_feature_pyramid=False)), "use_feature_pyramid is False"),
        (lambda: S5ViTBackbone(S5ViTConfig(**MICRO_VIT, out_indices=TAPS)), "out_indices"),
        (
            lambda: S5ViTBackbone(S5ViTConfig(**{**MICRO_VIT, "hidden_size": 192, "num_attention_heads": 4})),
            "num_attention_heads is 4 and would be read as 3",
        ),
    ],
)
def test_settings_that_the_official_layout_cannot_hold_are_refused_by_name(tmp_path, model, message):
    folder = saved(model(), tmp_path / "source")
    with pytest.raises(ValueError, match=message):
        export_official(folder, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@torch.no_grad()
def test_taps_told_on_both_ways_come_back_with_the_same_logits(tmp_path):
    model = segmenter({"out_indices": TAPS})
    official = export_official(saved(model, tmp_path / "source"), tmp_path / "official.pth", taps=TAPS)
    convert_checkpoint(official, tmp_path / "again", num_attention_heads=4, taps=TAPS)
    again = S5ForSemanticSegmentation.from_pretrained(tmp_path / "again")
    assert again.config.backbone_config.out_indices == TAPS
    images = torch.randn(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(again(images).logits, model(images).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("taps", [[1, 2, 3], [1, 2, 3, 5], [4, 3, 2, 1], [1, 1, 2, 3], [-1, 1, 2, 3]])
def test_taps_that_the_encoder_does_not_have_are_refused(tmp_path, taps):
    official = export_official(saved(S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), tmp_path / "m"), tmp_path / "m.pth")
    with pytest.raises(ValueError, match="taps must be four different blocks in ascending order"):
        convert_checkpoint(official, tmp_path / "out", num_attention_heads=4, taps=taps)
    assert not (tmp_path / "out").exists()


def test_convert_takes_taps_on_the_command_line(tmp_path):
    folder = saved(S5ViTBackbone(S5ViTConfig(**MICRO_VIT, out_indices=TAPS)), tmp_path / "source")
    there = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "x.pth"), "--taps", "0,1,2,4"])
    assert there.exit_code == 0, there.output
    heads = ["--num-attention-heads", "4"]
    back = CliRunner().invoke(
        app, ["convert", str(tmp_path / "x.pth"), str(tmp_path / "again"), "--taps", "0, 1, 2, 4", *heads]
    )
    assert back.exit_code == 0, back.output
    assert S5ViTConfig.from_pretrained(tmp_path / "again").out_indices == TAPS
    wrong = CliRunner().invoke(app, ["convert", str(tmp_path / "x.pth"), str(tmp_path / "b"), "--taps", "all", *heads])
    assert wrong.exit_code == 2


def test_a_normalisation_that_the_official_layout_cannot_hold_gives_a_warning(tmp_path, recwarn):
    folder = saved(S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), tmp_path / "source")
    S5ImageProcessor().save_pretrained(folder)
    export_official(folder, tmp_path / "published.pth")
    assert not [warning for warning in recwarn if "normalisation" in str(warning.message)]
    S5ImageProcessor(image_mean=[0.1, 0.2, 0.3]).save_pretrained(folder)
    with pytest.warns(
        UserWarning, match=r"holds no normalisation \(image_mean=\[0\.1, 0\.2, 0\.3\]\); keep this file"
    ):
        export_official(folder, tmp_path / "own.pth")


def test_a_model_with_missing_weights_is_not_exported(tmp_path):
    folder = saved(S5ForSemanticSegmentation(micro_segmentation_config()), tmp_path / "source")
    settings = json.loads((folder / "config.json").read_text())
    settings["backbone_config"]["num_hidden_layers"] = 6
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"source: .*missing \(24\): backbone\.encoder\.layers\.4"):
        export_official(folder, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_weights_that_are_not_finite_are_converted_in_neither_direction(tmp_path):
    folder = saved(S5ForSemanticSegmentation(micro_segmentation_config()), tmp_path / "source")
    official = export_official(folder, tmp_path / "whole.pth")
    content = torch.load(official, weights_only=True)
    content["model"]["module.semseghead.1.bias"][0] = float("nan")
    torch.save(content, tmp_path / "broken.pth")
    with pytest.raises(ValueError, match=r"broken\.pth: .*not finite \(1\): classifiers\.0\.bias"):
        convert_checkpoint(tmp_path / "broken.pth", tmp_path / "out", num_attention_heads=4)
    assert not (tmp_path / "out").exists()

    state = load_file(folder / "model.safetensors")
    state["classifiers.0.bias"][0] = float("inf")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"source: .*not finite \(1\): classifiers\.0\.bias"):
        export_official(folder, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
