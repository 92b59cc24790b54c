"""SegEarth-OV models from files of CLIP and SimFeatUp, the way back, and names; all with tiny random weights."""

import pytest
import torch
from transformers import AutoModelForSemanticSegmentation, AutoProcessor, CLIPModel
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.conversion import convert_checkpoint, export_official, read_upsampler
from s5_hf.conversion.open_clip_layout import clip_config, to_open_clip
from s5_hf.hub import open_models, pull, stored
from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SegEarthOVProcessor, SimFeatUpUpsampler
from s5_hf.training.starting_weights import weights_in_words
from tests.open_models import tiny_model, tiny_tokenizer

WIDTH = 8


@pytest.fixture
def clip(tmp_path):
    """A folder of transformers with a tokenizer."""
    made = tiny_model().clip
    made.save_pretrained(tmp_path / "clip")
    tiny_tokenizer().save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


@pytest.fixture
def simfeatup(tmp_path):
    """A file as published: tensors of the training beside those of the up-sampler."""
    torch.manual_seed(3)
    state = {f"upsampler.{name}": tensor for name, tensor in SimFeatUpUpsampler(WIDTH).state_dict().items()}
    torch.save({"state_dict": {**state, "downsampler.w": torch.ones(16, 16)}, "epoch": 1}, tmp_path / "xclip.ckpt")
    return tmp_path / "xclip.ckpt"


def open_clip_file(path, clip, quick_gelu=False):
    state = to_open_clip(CLIPModel.from_pretrained(clip).state_dict(), quick_gelu)
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    return path


def test_an_upsampler_becomes_a_model_and_a_file_again(tmp_path, clip, simfeatup):
    report = convert_checkpoint(simfeatup, tmp_path / "model", clip=str(clip))
    assert report.kind == "SimFeatUp, as a SegEarth-OV model"
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")
    assert isinstance(model, SegEarthOVForSemanticSegmentation)
    assert model.config.upsampler == "jbu_one"
    expected = torch.load(simfeatup, weights_only=True)["state_dict"]
    for name, tensor in model.upsampler.state_dict().items():
        assert torch.equal(tensor, expected[f"upsampler.{name}"]), name
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    assert isinstance(processor, SegEarthOVProcessor)
    model.encode_classes(["road", "building,roof"])
    assert model.config.id2label == {0: "road", 1: "building"}

    export_official(tmp_path / "model", tmp_path / "back.ckpt")
    written = torch.load(tmp_path / "back.ckpt", weights_only=True)["state_dict"]
    assert written.keys() == expected.keys() - {"downsampler.w"}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in written.items())
    assert read_upsampler(tmp_path / "back.ckpt").kind == "jbu_one"


@pytest.mark.parametrize("of_openai", [False, True])
def test_a_clip_keeps_its_own_activation_both_ways(tmp_path, clip, simfeatup, of_openai):
    source = open_clip_file(tmp_path / "clip.pt", clip, of_openai)
    convert_checkpoint(source, tmp_path / "model", clip=str(clip), upsampler=simfeatup, num_attention_heads=2)
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")
    activation = "quick_gelu" if of_openai else "gelu"
    assert model.config.clip_config.vision_config.hidden_act == activation
    assert model.config.clip_config.text_config.hidden_act == activation
    export_official(tmp_path / "model", tmp_path / "back.pt")
    written = torch.load(tmp_path / "back.pt", weights_only=True)
    expected = to_open_clip(CLIPModel.from_pretrained(clip).state_dict(), of_openai)
    assert written.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in written.items())
    convert_checkpoint(
        source, tmp_path / "told", clip=str(clip), upsampler=simfeatup, num_attention_heads=2, quick_gelu=True
    )
    told = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "told")
    assert told.config.clip_config.vision_config.hidden_act == "quick_gelu"


def test_without_an_upsampler_it_is_bilinear_and_said(tmp_path, clip):
    source = open_clip_file(tmp_path / "clip.pt", clip)
    with pytest.warns(UserWarning, match="without a SimFeatUp file .* bilinearly") as said:
        report = convert_checkpoint(source, tmp_path / "model", clip=str(clip), num_attention_heads=2)
    assert len(said) == 1
    assert report.config.upsampler == "bilinear"
    with pytest.raises(ValueError, match=r"back\.ckpt: a \.ckpt file holds an up-sampler, and this model has none"):
        export_official(tmp_path / "model", tmp_path / "back.ckpt")


def test_a_vision_tower_alone_gets_the_text_tower_of_another_clip(tmp_path, clip, simfeatup):
    state = to_open_clip(CLIPModel.from_pretrained(clip).state_dict())
    vision = {name: 2 * tensor for name, tensor in state.items() if name.startswith("visual.")}
    torch.save(vision, tmp_path / "vision.pt")
    settings = {"clip": str(clip), "upsampler": simfeatup, "num_attention_heads": 2}
    convert_checkpoint(tmp_path / "vision.pt", tmp_path / "model", **settings)
    model = AutoModelForSemanticSegmentation.from_pretrained(tmp_path / "model")
    assert torch.equal(model.clip.visual_projection.weight, 2 * state["visual.proj"].T)
    assert torch.equal(model.clip.text_projection.weight, state["text_projection"].T)


def test_sizes_are_read_off_the_tensors():
    state = to_open_clip(tiny_model().clip.state_dict())
    config = clip_config(state, quick_gelu=False)
    vision, text = config.vision_config, config.text_config
    assert (vision.hidden_size, vision.num_hidden_layers, vision.patch_size, vision.image_size) == (16, 2, 8, 32)
    assert (text.hidden_size, text.num_hidden_layers, text.max_position_embeddings) == (16, 2, 77)
    assert text.eos_token_id == text.vocab_size - 1
    assert config.projection_dim == WIDTH
    with pytest.raises(ValueError, match=r"the CLIP lacks visual\.proj"):
        clip_config({name: tensor for name, tensor in state.items() if name != "visual.proj"}, quick_gelu=False)


def test_what_does_not_fit_is_refused(tmp_path, clip, simfeatup):
    wide = {f"upsampler.{name}": tensor for name, tensor in SimFeatUpUpsampler(12, "jbu_stack").state_dict().items()}
    torch.save(wide, tmp_path / "wide.ckpt")
    assert read_upsampler(tmp_path / "wide.ckpt").kind == "jbu_stack"
    with pytest.raises(ValueError, match="for features of 12 channels, this CLIP has 8"):
        convert_checkpoint(tmp_path / "wide.ckpt", tmp_path / "model", clip=str(clip))
    del wide["upsampler.up3.range_temp"]
    torch.save(wide, tmp_path / "less.ckpt")
    with pytest.raises(ValueError, match=r"missing \(1\): up3\.range_temp"):
        read_upsampler(tmp_path / "less.ckpt")
    torch.save({"state_dict": {"weight": torch.ones(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"is no SimFeatUp up-sampler: it has no upsampler\.fixup_proj"):
        read_upsampler(tmp_path / "other.ckpt")
    torch.save({"state_dict": print}, tmp_path / "evil.ckpt")
    with pytest.raises(ValueError, match=r"evil\.ckpt is refused: besides tensors its pickle asks for"):
        read_upsampler(tmp_path / "evil.ckpt")
    assert not (tmp_path / "model").exists()


class TestNames:
    @pytest.fixture(autouse=True)
    def made_of_tiny_parts(self, tmp_path, clip, monkeypatch):
        monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
        monkeypatch.setitem(open_models.OPEN_MODELS, "segearth-ov", open_models.OpenModel("of a test", str(clip)))

    @pytest.fixture(autouse=True)
    def heads_of_the_tiny_clip(self, monkeypatch):
        monkeypatch.setattr("s5_hf.conversion.open_clip_layout.HEADS", {16: 2})

    def test_the_name_is_made_of_its_parts_once(self, monkeypatch, simfeatup):
        monkeypatch.setenv("S5_HF_SIMFEATUP", str(simfeatup))
        model = AutoModelForSemanticSegmentation.from_pretrained("segearth-ov")
        assert model.config.upsampler == "jbu_one"
        assert stored("segearth-ov") == pull("segearth-ov")
        assert isinstance(AutoProcessor.from_pretrained("segearth-ov"), SegEarthOVProcessor)
        model.encode_classes(["road"])

    def test_without_the_file_it_is_bilinear_and_said_once(self, monkeypatch, recwarn):
        for _ in range(2):
            model = AutoModelForSemanticSegmentation.from_pretrained("segearth-ov")
        assert model.config.upsampler == "bilinear"
        assert sum("bilinearly" in str(warning.message) for warning in recwarn) == 1
        monkeypatch.setenv("S5_HF_SIMFEATUP", "nowhere.ckpt")
        with pytest.raises(FileNotFoundError, match=r"S5_HF_SIMFEATUP is nowhere\.ckpt, which is no file"):
            open_models.upsampler_file()

    def test_a_file_is_converted_under_the_name(self, clip, simfeatup):
        words = ["convert", str(simfeatup), "segearth-ov", "--store", "--clip", str(clip)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert "recognised: SimFeatUp, as a SegEarth-OV model" in result.output
        assert "from_pretrained('segearth-ov') loads it" in result.output
        assert AutoModelForSemanticSegmentation.from_pretrained("segearth-ov").config.upsampler == "jbu_one"

    def test_no_name_follows_from_a_file(self, clip, simfeatup):
        with pytest.raises(ValueError, match="give it: segearth-ov or segearth-ov-sar"):
            CliRunner().invoke(
                app, ["convert", str(simfeatup), "--store", "--clip", str(clip)], catch_exceptions=False
            )


def rows_of_models():
    lines = CliRunner().invoke(app, ["models"], catch_exceptions=False).output.splitlines()
    return {line.split()[1]: line for line in lines if "segearth-ov" in line}


def test_the_list_of_names_says_what_they_are_made_of(tmp_path, monkeypatch, clip, simfeatup):
    monkeypatch.setenv("S5_HF_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("S5_HF_SIMFEATUP", raising=False)
    bare = rows_of_models()
    assert "classes by name: CLIP ViT-B/16 and SimFeatUp" in bare["segearth-ov"]
    assert "149.6 M" in bare["segearth-ov"] and "Hub: openai/clip-vit-base-patch16; " in bare["segearth-ov"]
    assert "xclip_jbu_one_million_aid.ckpt is not here, so bilinear" in bare["segearth-ov"]
    assert "Hub: likyoo/AlignEarth-SAR-ViT-B-16, tokenizer: openai/" in bare["segearth-ov-sar"]
    assert weights_in_words("segearth-ov").startswith("not here yet: they would be made of what others have")
    monkeypatch.setenv("S5_HF_SIMFEATUP", str(simfeatup))
    named = rows_of_models()["segearth-ov"]
    assert f"SimFeatUp: {simfeatup}" in named and "149.9 M" in named
    CliRunner().invoke(app, ["convert", str(simfeatup), "segearth-ov", "--store", "--clip", str(clip)])
    assert "store" in rows_of_models()["segearth-ov"].split("MB")[1]
    assert weights_in_words("segearth-ov") == f"the store: {tmp_path / 'store' / 'segearth-ov'}"
