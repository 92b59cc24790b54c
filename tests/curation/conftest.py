"""A micro segmenter, and archives of synthetic scenes on disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s5_hf.curation.sources import ImageSource, open_images
from s5_hf.modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD, S5ImageProcessor
from s5_hf.predictors.feature_segmenter import Segmenter
from s5_hf.synthetic import synthetic_scene
from tests.conftest import S5ForSemanticSegmentation, micro_segmentation_config, randomise


def micro_model(seed: int = 0, num_experts: int = 0) -> S5ForSemanticSegmentation:
    """Random weights that give varied predictions."""
    return randomise(S5ForSemanticSegmentation(micro_segmentation_config(num_experts)), seed).eval()


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """Three classes: soil, crop, water."""
    return Segmenter(micro_model(), IMAGENET_MEAN, IMAGENET_STD)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """The same segmenter as a folder."""
    folder = tmp_path_factory.mktemp("model")
    micro_model().save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """Twelve PNG scenes in two folders: ten of 64 x 64 pixels, one of 80 x 64, one of 150 x 130 (width x height)."""
    folder = tmp_path_factory.mktemp("archive")
    scenes = [synthetic_scene(64, seed).image for seed in range(10)]
    scenes += [synthetic_scene((64, 80), 20).image, synthetic_scene((130, 150), 21).image]
    for index, scene in enumerate(scenes):
        path = folder / ("north" if index % 2 else "south") / f"scene{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(scene).save(path)
    return folder


@pytest.fixture(scope="session")
def labelled_tiles(tmp_path_factory) -> Path:
    """Sixteen scenes of 64 x 64 with masks of three classes, as `s5-image-mask` reads them."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for seed in range(16):
        scene = synthetic_scene(64, 100 + seed)
        Image.fromarray(scene.image).save(folder / "images" / f"{seed:02d}.png")
        Image.fromarray((scene.image.mean(axis=2) // 86).astype(np.uint8)).save(folder / "masks" / f"{seed:02d}.png")
    return folder


@pytest.fixture
def images(archive):
    """The archive as a list."""
    return open_images(ImageSource(folder=str(archive)))
