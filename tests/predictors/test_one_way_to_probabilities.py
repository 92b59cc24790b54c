"""Scenes, evaluation and curation see an image in the same way, whatever its processor and its file say."""

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.curation.patches import decode_image
from s5_hf.evaluation.segmentation.prediction import class_probabilities
from s5_hf.evaluation.segmentation.protocol import SegmentationProtocol
from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor
from s5_hf.modeling.image_processing_s5 import to_channels_last
from s5_hf.predictors.feature_segmenter import Segmenter
from s5_hf.predictors.torch_segmenter import load_segmenters
from s5_hf.scenes.segmentation.scene_probabilities import SceneProbabilities, WindowSettings
from s5_hf.scenes.source import open_scene
from tests.conftest import micro_segmentation_config, randomise
from tests.scenes.conftest import smooth_image

PROCESSORS = {
    "imagenet": {},
    "other means": {"image_mean": [0.1, 0.5, 0.3], "image_std": [0.3, 0.1, 0.4]},
    "do_normalize false": {"do_normalize": False},
    "do_rescale false": {"do_rescale": False, "image_mean": [120.0, 110.0, 100.0], "image_std": [60.0, 50.0, 40.0]},
    "neither": {"do_rescale": False, "do_normalize": False},
    "other factor": {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
}


@pytest.fixture(scope="module")
def model():
    return randomise(S5ForSemanticSegmentation(micro_segmentation_config())).eval()


def save(model, folder, **processor):
    model.save_pretrained(folder)
    S5ImageProcessor(**processor).save_pretrained(folder)
    return folder


def predicted(segmenter, path):
    """What `predict` blends, of one window: (classes, height, width)."""
    with open_scene(path) as scene:
        stream = SceneProbabilities(scene, [segmenter], WindowSettings(window=64))
        return torch.cat([rows.probabilities.clone() for rows in stream], dim=1)


def all_ways(folder, path):
    """The probabilities that predict, evaluate and curate have of an image file."""
    (segmenter,) = load_segmenters(folder)
    with Image.open(path) as image:
        pixels = to_channels_last(image, 3)
        patch = np.asarray(decode_image(image, "image"))
    return {
        "predict": predicted(segmenter, path),
        "evaluate": class_probabilities(segmenter, pixels[None], SegmentationProtocol(), ["image"])[0],
        "curate": Segmenter.from_pretrained(folder)(patch[None]).logits.softmax(dim=1)[0],
    }


@pytest.mark.parametrize("processor", PROCESSORS.values(), ids=list(PROCESSORS))
def test_predict_evaluate_and_curate_give_the_probabilities_of_model_and_processor(tmp_path, model, processor):
    folder = save(model, tmp_path / "model", **processor)
    image = smooth_image(64, 48)
    Image.fromarray(image).save(tmp_path / "image.png")
    with torch.inference_mode():
        inputs = S5ImageProcessor(**processor)(image, return_tensors="pt")
        expected = model(**inputs).logits.softmax(dim=1)[0]
    assert expected.std() > 0.01  # equal by more than being flat
    found = all_ways(folder, tmp_path / "image.png")
    for probabilities in found.values():
        torch.testing.assert_close(probabilities, expected, rtol=0, atol=1e-4)
    for way in ("evaluate", "curate"):
        torch.testing.assert_close(found[way], found["predict"], rtol=0, atol=1e-6)


def opaque(mode):
    """An image file's content without any transparent pixel, in a mode of Pillow's."""
    image = Image.fromarray(smooth_image(64, 48))
    if mode in ("LA", "RGBA"):
        image = image.convert(mode)
        image.putalpha(Image.fromarray(np.linspace(1, 255, 64 * 48).reshape(64, 48).astype(np.uint8)))
        return image
    return image.quantize(64) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_grey_palette_and_alpha_images_have_one_probability_everywhere(tmp_path, model, mode):
    opaque(mode).save(tmp_path / "image.png")
    found = all_ways(save(model, tmp_path / "model"), tmp_path / "image.png")
    for way in ("evaluate", "curate"):
        torch.testing.assert_close(found[way], found["predict"], rtol=0, atol=1e-6)
