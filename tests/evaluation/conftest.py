"""A micro segmenter as a folder, and a small dataset with an odd number of images of several sizes."""

from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from PIL import Image

from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.synthetic import synthetic_scene
from tests.conftest import micro_segmentation_config, randomise

LABELS = ("soil", "crop", "water")


def save_model(folder: Path, num_experts: int = 0) -> Path:
    model = randomise(S5ForSemanticSegmentation(micro_segmentation_config(num_experts))).eval()
    model.save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """One task: soil, crop, water."""
    return save_model(tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="session")
def moe_folder(tmp_path_factory) -> Path:
    """Two tasks: fields and roads."""
    return save_model(tmp_path_factory.mktemp("moe"), num_experts=2)


@pytest.fixture(scope="session")
def fields(tmp_path_factory) -> Path:
    """Five scenes in `val`: three of 64 x 64 pixels, two of 80 x 72 (width x height), some pixels ignored (255)."""
    root = tmp_path_factory.mktemp("fields")
    for kind in ("images", "masks"):
        (root / "val" / kind).mkdir(parents=True)
    for seed, size in enumerate(((64, 64), (72, 80), (64, 64), (64, 64), (72, 80))):
        pixels = synthetic_scene(size, seed).image
        mask = (pixels.mean(axis=2) // 86).astype(np.uint8)
        mask[:5, :7] = 255
        Image.fromarray(pixels).save(root / "val" / "images" / f"{seed}.png")
        Image.fromarray(mask).save(root / "val" / "masks" / f"{seed}.png")
    return root


@pytest.fixture
def accelerator() -> Accelerator:
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True)
