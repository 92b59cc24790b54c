"""Tiny SegEarth-R1 models with random weights and a tokenizer of a few words."""

from pathlib import Path
from typing import Any

import torch

from s5_hf.modeling import (
    SegEarthR1Config,
    SegEarthR1ForPixelReasoning,
    SegEarthR1ImageProcessor,
    SegEarthR1Processor,
)
from s5_hf.modeling.processing_segearth_r1 import BEFORE_IMAGE
from s5_hf.training.reasoning.word_tokenizer import word_tokenizer

SIDE = 64
QUESTIONS = ["where could a boat float?", "the red roofs north of the river", "where do people live?"]
TINY_SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 1, 1],
    "window_size": 4,
    "image_size": SIDE,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
TINY_VIT = {
    "model_type": "s5_vit",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": SIDE,
}
TINY_PHI = {
    "model_type": "phi",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
}
TINY = {
    "image_size": SIDE,
    "projector_channels": 16,
    "projector_heads": 2,
    "decoder_channels": 32,
    "decoder_heads": 2,
    "pixel_decoder_layers": 1,
    "mask_decoder_layers": 2,
    "pixel_decoder_feedforward": 32,
    "mask_decoder_feedforward": 32,
    "train_points": 64,
}


def tiny_processor(size: int = SIDE) -> SegEarthR1Processor:
    """Images of 64 px, and the words of `QUESTIONS`."""
    texts = [BEFORE_IMAGE, *QUESTIONS, "Sure, It is."]
    return SegEarthR1Processor(SegEarthR1ImageProcessor(size=size), word_tokenizer(texts))


def tiny_reasoner(seed: int = 0, **settings: Any) -> SegEarthR1ForPixelReasoning:
    """A model that takes what `tiny_processor` gives."""
    torch.manual_seed(seed)
    language = {**TINY_PHI, "vocab_size": len(tiny_processor().tokenizer)}
    config = SegEarthR1Config(**{"backbone_config": TINY_SWIN, "language_config": language, **TINY, **settings})
    return SegEarthR1ForPixelReasoning(config).eval()


def write_tiny_reasoner(folder: Path, **settings: Any) -> Path:
    """A folder with model and processor."""
    tiny_reasoner(**settings).save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return folder
