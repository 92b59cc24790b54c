"""Conversion there and back, what is recognised, and what is refused."""

import io
import pickle
import re
import traceback
import zipfile

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSemanticSegmentation,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTMAEModel,
)

from s5_hf.conversion import convert_checkpoint, export_official, read_checkpoint
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTBackbone, S5ViTConfig
from tests.conftest import MICRO_VIT, micro_segmentation_config, randomise
from tests.numerics import assert_equal_but_for_rounding

OFFICIAL_FIXTURES = [
    "micro_s4p",
    "micro_s4p_upernet",
    "micro_mdf_moe_upernet",
    "micro_mdf_init_after",
    "tiny_moe2_encoder",
    "tiny_mae_loaded_encoder",
]


def save_official(model, folder):
    """An official checkpoint with the weights of a model of this package."""
    model.save_pretrained(folder / "source")
    return export_official(folder / "source", folder / "official.pth")


def four_task_config(num_experts):
    tasks = {"vaihingen": 5, "potsdam": 5, "openearthmap": 9, "loveda": 7}
    return S5SegmentationConfig(
        backbone_config=S5ViTConfig(**MICRO_VIT, num_experts=num_experts, expert_channels=8),
        tasks={name: [f"c{index}" for index in range(count)] for name, count in tasks.items()},
        decoder_channels=16,
    )


@pytest.mark.parametrize("name", OFFICIAL_FIXTURES)
def test_official_files_come_back_byte_for_byte(official_fixtures, tmp_path, name):
    convert_checkpoint(official_fixtures.checkpoint(name), tmp_path / "folder", num_attention_heads=4)
    export_official(tmp_path / "folder", tmp_path / "back.pth")
    original = torch.load(official_fixtures.checkpoint(name), weights_only=True)["model"]
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model"]
    assert set(back) == set(original)
    for key, tensor in original.items():
        assert back[key].dtype == tensor.dtype, key
        assert torch.equal(back[key], tensor), key


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (lambda: S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), "S5 encoder"),
        (lambda: S5ViTBackbone(S5ViTConfig(**MICRO_VIT, num_experts=2, expert_channels=8)), "S5 encoder"),
        (lambda: S5ForSemanticSegmentation(micro_segmentation_config()), "S5 segmenter"),
        (lambda: S5ForSemanticSegmentation(four_task_config(0)), "MDF segmenter"),
        (lambda: S5ForSemanticSegmentation(four_task_config(4)), "MoE-MDF segmenter"),
    ],
)
def test_every_kind_is_recognised_and_restored(tmp_path, model, kind):
    model = randomise(model())
    report = convert_checkpoint(save_official(model, tmp_path), tmp_path / "again", num_attention_heads=4)
    assert report.kind == kind
    assert report.left_out == report.new == []
    restored = type(model).from_pretrained(tmp_path / "again")
    assert restored.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(restored.state_dict()[name], tensor), name
    assert restored.config.to_dict().keys() == model.config.to_dict().keys()


def test_official_task_names_labels_and_ignore_values(tmp_path):
    report = convert_checkpoint(
        save_official(S5ForSemanticSegmentation(four_task_config(4)), tmp_path), tmp_path / "m", num_attention_heads=4
    )
    tasks = report.config.tasks
    assert list(tasks) == ["vaihingen", "potsdam", "openearthmap", "loveda"]
    assert tasks["loveda"] == ["background", "building", "road", "water", "barren", "forest", "agriculture"]
    assert [report.config.ignore_index_of(task) for task in tasks] == [5, 5, 255, 255]
    assert AutoConfig.from_pretrained(tmp_path / "m").tasks == tasks


def test_names_of_a_single_task_can_be_given(tmp_path):
    official = save_official(S5ForSemanticSegmentation(micro_segmentation_config()), tmp_path)
    plain = convert_checkpoint(official, tmp_path / "a", num_attention_heads=4)
    assert plain.config.tasks == {"segmentation": ["class_0", "class_1", "class_2"]}
    named = convert_checkpoint(
        official, tmp_path / "b", num_attention_heads=4, task="coast", labels=["land", "sea", "ice"]
    )
    assert named.config.tasks == {"coast": ["land", "sea", "ice"]}
    with pytest.raises(ValueError, match="got 2 labels for a checkpoint of 3 classes"):
        convert_checkpoint(official, tmp_path / "c", num_attention_heads=4, labels=["land", "sea"])
    assert not (tmp_path / "c").exists()


def timm_mae(hidden=32, depth=2, grid=3):
    """A MAE checkpoint in facebook's layout with random weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "cls_token": (1, 1, hidden),
        "pos_embed": (1, 1 + grid * grid, hidden),
        "mask_token": (1, 1, 16),
        "patch_embed.proj.weight": (hidden, 3, 16, 16),
        "patch_embed.proj.bias": (hidden,),
        "norm.weight": (hidden,),
        "decoder_embed.weight": (16, hidden),
    }
    for block in range(depth):
        for part, shape in {
            "norm1.weight": (hidden,),
            "norm1.bias": (hidden,),
            "attn.qkv.weight": (3 * hidden, hidden),
            "attn.qkv.bias": (3 * hidden,),
            "attn.proj.weight": (hidden, hidden),
            "attn.proj.bias": (hidden,),
            "norm2.weight": (hidden,),
            "norm2.bias": (hidden,),
            "mlp.fc1.weight": (64, hidden),
            "mlp.fc1.bias": (64,),
            "mlp.fc2.weight": (hidden, 64),
            "mlp.fc2.bias": (hidden,),
        }.items():
            shapes[f"blocks.{block}.{part}"] = shape
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_timm_mae(tmp_path):
    state = timm_mae(depth=4)
    torch.save({"model": state}, tmp_path / "mae.pth")
    report = convert_checkpoint(tmp_path / "mae.pth", tmp_path / "vit", num_attention_heads=4, image_size=48)
    assert report.kind == "MAE encoder"
    assert sorted(report.left_out) == ["decoder_embed.weight", "mask_token", "norm.weight"]
    assert len(report.new) == 8
    assert all(name.startswith("feature_pyramid.") for name in report.new)
    weights = S5ViTBackbone.from_pretrained(tmp_path / "vit").state_dict()
    assert torch.equal(weights["embeddings.position_embeddings"], state["pos_embed"][:, 1:])
    assert torch.equal(weights["encoder.layers.3.attention.qkv.weight"], state["blocks.3.attn.qkv.weight"])
    assert torch.equal(weights["encoder.layers.1.feed_forward.fc2.bias"], state["blocks.1.mlp.fc2.bias"])
    again = convert_checkpoint(tmp_path / "mae.pth", tmp_path / "vit2", num_attention_heads=4, image_size=48)
    for name in again.new:  # the new tensors come from a fixed seed
        assert torch.equal(S5ViTBackbone.from_pretrained(tmp_path / "vit2").state_dict()[name], weights[name])


@torch.no_grad()
@pytest.mark.parametrize("model_class", [ViTMAEModel, ViTMAEForPreTraining])
def test_transformers_mae(tmp_path, model_class):
    """The converted encoder computes what ViTMAE computes, except for its class token and final norm."""
    torch.manual_seed(0)
    config = ViTMAEConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=64,
        layer_norm_eps=1e-5,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=32,
    )
    mae = model_class(config)
    randomise(mae, seed=3)
    mae.save_pretrained(tmp_path / "mae")
    report = convert_checkpoint(tmp_path / "mae", tmp_path / "vit", num_attention_heads=4, image_size=64)
    assert report.kind == "MAE encoder"
    assert all("decoder" in name or "layernorm" in name for name in report.left_out)
    saved = read_checkpoint(tmp_path / "mae")
    prefix = "vit." if model_class is ViTMAEForPreTraining else ""
    weights = S5ViTBackbone.from_pretrained(tmp_path / "vit").state_dict()
    for index, part in enumerate(("query", "key", "value")):
        expected = saved[f"{prefix}encoder.layer.2.attention.attention.{part}.weight"]
        assert torch.equal(weights["encoder.layers.2.attention.qkv.weight"][32 * index : 32 * (index + 1)], expected)
    expected = saved[f"{prefix}encoder.layer.1.output.dense.weight"]
    assert torch.equal(weights["encoder.layers.1.feed_forward.fc2.weight"], expected)
    expected = saved[f"{prefix}embeddings.position_embeddings"][:, 1:]
    assert torch.equal(weights["embeddings.position_embeddings"], expected)


def test_mae_positions_are_resized(tmp_path):
    torch.save(timm_mae(depth=4, grid=3), tmp_path / "mae.pth")
    convert_checkpoint(tmp_path / "mae.pth", tmp_path / "vit", num_attention_heads=4, image_size=96)
    weights = S5ViTBackbone.from_pretrained(tmp_path / "vit").state_dict()
    assert weights["embeddings.position_embeddings"].shape == (1, 36, 32)


def test_tensors_that_do_not_fit_are_all_named(tmp_path):
    official = save_official(S5ForSemanticSegmentation(micro_segmentation_config()), tmp_path)
    state = torch.load(official, weights_only=True)["model"]
    del state["module.encoder.layers.2.ln1.bias"]
    state["module.encoder.layers.2.surprise"] = torch.zeros(1)
    state["module.semsegdecoder.decode_head.bottleneck.conv.weight"] = torch.zeros(16, 3, 3, 3)
    torch.save({"model": state}, tmp_path / "broken.pth")
    with pytest.raises(ValueError) as error:
        convert_checkpoint(tmp_path / "broken.pth", tmp_path / "out", num_attention_heads=4)
    message = str(error.value)
    assert "missing (1): encoder.layers.2.ln1.bias" in message
    assert "unexpected (1): encoder.layers.2.surprise" in message
    assert "semsegdecoder.decode_head.bottleneck.conv.weight: (16, 3, 3, 3) instead of (16, 96, 3, 3)" in message
    assert not (tmp_path / "out").exists()


class Malicious:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["zip", "bare pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, how):
    trap, file = tmp_path / "trap", tmp_path / "evil.pth"
    if how == "zip":
        torch.save({"model": {"a": torch.zeros(1)}, "extra": Malicious(trap)}, file)
    else:
        file.write_bytes(pickle.dumps({"model": Malicious(trap)}))
    with pytest.raises(
        ValueError, match=r"evil\.pth is refused: besides tensors its pickle asks for other Python"
    ) as caught:
        convert_checkpoint(file, tmp_path / "out")
    assert not trap.exists()
    assert bool(re.search(r"such as _?io\.open", str(caught.value))) == (how == "zip")
    whole = "".join(traceback.format_exception(caught.value))
    assert all(advice not in whole for advice in ("weights_only` set", "add_safe_globals", "trust", "can still be"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pth"]


def test_a_truncated_file_is_refused(tmp_path):
    official = save_official(S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), tmp_path)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(official.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"broken\.pth cannot be read, it is truncated or not a checkpoint"):
        convert_checkpoint(broken, tmp_path / "out")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(ValueError, match=r"empty\.pth cannot be read"):
        convert_checkpoint(tmp_path / "empty.pth", tmp_path / "out")
    (tmp_path / "text.safetensors").write_text("no tensors at all")
    with pytest.raises(ValueError, match=r"text\.safetensors cannot be read"):
        convert_checkpoint(tmp_path / "text.safetensors", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "photos.pth", "w") as archive:
        archive.writestr("photo.jpg", "no tensors")
    with pytest.raises(ValueError, match=r"photos\.pth cannot be read"):
        convert_checkpoint(tmp_path / "photos.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_content_is_refused(tmp_path):
    cases = {
        "list.pth": ([torch.zeros(1)], "holds a list, expected a dictionary of tensors"),
        "numbers.pth": ({"epoch": 3}, r"holds no tensors; its entries are \['epoch'\]"),
        "other.pth": ({"conv1.weight": torch.zeros(1)}, r"has an unknown layout .*; its first tensors: conv1.weight"),
    }
    for name, (content, message) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ValueError, match=message):
            convert_checkpoint(tmp_path / name, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        convert_checkpoint(tmp_path / "nowhere.pth", tmp_path / "out")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match=r"has no weights; looked for model\.safetensors"):
        convert_checkpoint(tmp_path / "folder", tmp_path / "out")


def test_unknown_width_asks_for_the_heads(tmp_path):
    official = save_official(S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), tmp_path)
    with pytest.raises(ValueError, match=r"the encoder is 32 wide, .* give num_attention_heads"):
        convert_checkpoint(official, tmp_path / "out")


def test_existing_output_is_kept(tmp_path):
    official = save_official(S5ViTBackbone(S5ViTConfig(**MICRO_VIT)), tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="exists already"):
        convert_checkpoint(official, tmp_path / "out", num_attention_heads=4)
    with pytest.raises(FileExistsError, match="exists already"):
        export_official(tmp_path / "source", official)
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_other_models_have_no_official_layout(tmp_path):
    from transformers import SwinConfig

    swin = SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, out_indices=[1, 2])
    S5ForSemanticSegmentation(S5SegmentationConfig(backbone_config=swin, decoder_channels=8)).save_pretrained(
        tmp_path / "swin"
    )
    with pytest.raises(ValueError, match="holds a 's5_segmentation' model, which the official layout cannot express"):
        export_official(tmp_path / "swin", tmp_path / "out.pth")


def test_tensors_are_found_at_every_level(tmp_path):
    tensor = torch.arange(3.0)
    for index, content in enumerate(
        ({"a": tensor}, {"model": {"module.a": tensor}, "epoch": 1}, {"state_dict": {"a": tensor}, "meta": {}})
    ):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        (tmp_path / f"{index}.pth").write_bytes(buffer.getvalue())
        state = read_checkpoint(tmp_path / f"{index}.pth")
        assert list(state) == ["a"]
        assert torch.equal(state["a"], tensor)


@torch.no_grad()
def test_converted_model_segments_real_imagery_of_odd_size(real_imagery, tmp_path):
    """A 600 x 600 photograph, no multiple of the patch, through a converted model."""
    from PIL import Image
    from transformers import AutoImageProcessor

    original = randomise(S5ForSemanticSegmentation(micro_segmentation_config())).eval()
    official = save_official(original, tmp_path)
    convert_checkpoint(official, tmp_path / "converted", num_attention_heads=4)
    photograph = Image.open(sorted((real_imagery / "citymaps" / "val" / "images").glob("*.jpg"))[0]).convert("RGB")
    assert photograph.size == (600, 600)
    processor = AutoImageProcessor.from_pretrained(tmp_path / "converted")
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "converted")
    inputs = processor(photograph, return_tensors="pt")
    logits = model(**inputs).logits
    assert logits.shape == (1, 3, 600, 600)
    assert_equal_but_for_rounding(logits, original(**inputs).logits)
    assert logits.std(dim=(2, 3)).min() > 0.01, "the logits follow the picture"
