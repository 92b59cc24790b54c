"""Tiny SegEarth-OV models with a tokenizer made on the spot: letters, and nothing that was learnt."""

import string
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SegEarthOVImageProcessor, SegEarthOVProcessor

CLASSES = ["background", "building,roof,house", "road", "water"]
LETTERS = [*string.ascii_lowercase, *string.punctuation, *string.digits]
VOCABULARY = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]


def tiny_tokenizer() -> CLIPTokenizer:
    """A tokenizer of single letters."""
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(VOCABULARY)}, merges=[])


def tiny_processor(longest_edge: int = 64) -> SegEarthOVProcessor:
    """The processor of the tiny models."""
    return SegEarthOVProcessor(SegEarthOVImageProcessor(size=longest_edge), tiny_tokenizer())


def tiny_model(**settings: Any) -> SegEarthOVForSemanticSegmentation:
    """A model with random weights, patches of 8 pixels and windows of 32."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "projection_dim": 8}
    config = CLIPConfig(
        vision_config={"hidden_size": 16, "image_size": 32, "patch_size": 8, **sizes},
        text_config={
            "hidden_size": 16,
            "vocab_size": len(VOCABULARY),
            "max_position_embeddings": 77,
            **sizes,
            "bos_token_id": len(VOCABULARY) - 2,
            "eos_token_id": len(VOCABULARY) - 1,
            "pad_token_id": 0,
        },
        projection_dim=8,
        initializer_factor=4.0,  # so that classes and pixels differ
    )
    defaults = {"window_size": 32, "window_stride": 16, "upsampler": "bilinear"}
    return SegEarthOVForSemanticSegmentation.from_clip(CLIPModel(config), **{**defaults, **settings}).eval()


def write_tiny_model(folder: Path, classes: list[str] | None = None, **settings: Any) -> Path:
    """A folder with model, tokenizer and image processor."""
    model, processor = tiny_model(**settings), tiny_processor()
    if classes:
        model.encode_classes(classes, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
