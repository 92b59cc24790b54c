"""Every kind of model that may be named loads from a folder and does its part; weights are random, sizes tiny."""

import string

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertConfig,
    BertTokenizer,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2Model,
    Sam2VisionConfig,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    Sam3VisionConfig,
    Sam3ViTConfig,
    SwinConfig,
)
from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from typer.testing import CliRunner

from s5_hf.change.sam import SamPrompts
from s5_hf.cli import app
from s5_hf.modeling import S5ImageProcessor
from tests.open_models import VOCABULARY, tiny_tokenizer, write_tiny_model

SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "hidden_size": 16}
DECODER = {"hidden_size": 32, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *string.ascii_lowercase]
LETTERS += [f"##{letter}" for letter in string.ascii_lowercase]
HEIGHT, WIDTH = 48, 80


def tiny_sam2():
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    prompts = {"hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=DECODER))


def tiny_sam3():
    sizes = {**SMALL, "num_hidden_layers": 2, "image_size": 56, "patch_size": 14, "pretrain_image_size": 28}
    vision = Sam3VisionConfig(
        backbone_config=Sam3ViTConfig(**sizes, window_size=2, global_attn_indexes=[1]),
        fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    prompts = {"hidden_size": 32, "image_size": 56, "patch_size": 14, "mask_input_channels": 4}
    config = Sam3TrackerConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=DECODER)
    return Sam3TrackerModel(config)


def write_grounding_dino(folder, config_class, model_class):
    swin = {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 1, 1], "window_size": 4, "image_size": 64}
    layers = {f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in _LAYERS.items()}
    config = config_class(
        backbone_config=SwinConfig(**swin, out_features=["stage1", "stage2", "stage3"]),
        text_config=BertConfig(vocab_size=len(LETTERS), max_position_embeddings=64, **SMALL),
        d_model=32,
        num_queries=12,
        max_text_len=64,
        **layers,
    )
    model_class(config).save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={token: index for index, token in enumerate(LETTERS)})
    images = GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 64})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)


_LAYERS = {"layers": 2, "attention_heads": 2, "ffn_dim": 16}


def write_owlv2(folder):
    ends = {"bos_token_id": len(VOCABULARY) - 2, "eos_token_id": len(VOCABULARY) - 1, "pad_token_id": 0}
    text = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 16, **SMALL, **ends}
    vision = {"image_size": 64, "patch_size": 16, **SMALL}
    model = Owlv2ForObjectDetection(Owlv2Config(vision_config=vision, text_config=text, projection_dim=16))
    model.save_pretrained(folder)
    images = Owlv2ImageProcessorPil(size={"height": 64, "width": 64})
    Owlv2Processor(images, tiny_tokenizer()).save_pretrained(folder)


WRITERS = {
    "sam2": lambda folder: tiny_sam2().save_pretrained(folder),
    "sam3": lambda folder: tiny_sam3().save_pretrained(folder),
    "grounding-dino": lambda folder: write_grounding_dino(
        folder, GroundingDinoConfig, GroundingDinoForObjectDetection
    ),
    "mm-grounding-dino": lambda folder: write_grounding_dino(
        folder, MMGroundingDinoConfig, MMGroundingDinoForObjectDetection
    ),
    "owlv2": write_owlv2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DINOv3, an open-vocabulary segmenter and two dates; every test adds what it tries."""
    folder = tmp_path_factory.mktemp("parts")
    torch.manual_seed(0)
    DINOv3ViTModel(DINOv3ViTConfig(**SMALL, image_size=32, patch_size=16)).save_pretrained(folder / "dinov3")
    S5ImageProcessor().save_pretrained(folder / "dinov3")
    write_tiny_model(folder / "open")
    for seed, name in enumerate(("before", "after")):
        pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def run_change(folder, name, *options):
    common = ["--features", "dinov3", "--least-angle", "0", "--device", "cpu", "--overwrite"]
    words = ["change", "before.png", "after.png", name, "--classes", "road,street", "roof", *common, *options]
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.parametrize("name", ["sam2", "sam3"])
def test_a_sam_and_dinov3_find_changes_with_an_open_vocabulary_model(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    WRITERS[name](folder / name)
    options = ["--proposals", name, "--recognition", "open", "--points", "3", "--land-cover"]
    result = run_change(folder, f"maps-{name}", *options)
    assert result.exit_code == 0, result.output
    assert sorted(path.stem for path in (folder / f"maps-{name}").glob("*.tif")) == [
        "after_road_change",
        "after_roof_change",
    ]


@pytest.mark.parametrize("name", ["grounding-dino", "mm-grounding-dino", "owlv2"])
def test_a_text_detector_and_a_sam_find_changes(folder, name, monkeypatch):
    monkeypatch.chdir(folder)
    WRITERS[name](folder / name)
    WRITERS["sam2"](folder / "sam2")
    options = ["--pipeline", "imc", "--proposals", "sam2", "--recognition", name, "--threshold", "0.001"]
    result = run_change(folder, f"maps-{name}", *options)
    assert result.exit_code == 0, result.output
    assert "objects changed" in result.output


def test_each_sam_sees_pixels_scaled_as_in_its_training(monkeypatch):
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    seen = {}
    for name, model in (("sam2", tiny_sam2().eval()), ("sam3", tiny_sam3().eval())):
        embed = model.get_image_embeddings

        def look(pixels, name=name, embed=embed):
            seen[name] = pixels[0, :, 0, 0]
            return embed(pixels)

        monkeypatch.setattr(model, "get_image_embeddings", look)
        SamPrompts(model, white)
    torch.testing.assert_close(seen["sam2"], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen["sam3"], torch.ones(3))
