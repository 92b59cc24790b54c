"""Encoders of other families whose shapes are known without the Hub."""

import pytest
import torch
from transformers import AutoModel

from s5_hf.modeling.published_shapes import PUBLISHED_SHAPES, published_shape, weights_are_left_out
from s5_hf.semi_supervised.frozen_teacher import load_frozen_teacher

MILLIONS = {
    "facebook/dinov2-small": 22.06,
    "facebook/dinov2-base": 86.58,
    "facebook/dinov2-large": 304.37,
    "facebook/dinov2-giant": 1136.48,
    "facebook/sam-vit-base": 89.67,
    "nvidia/mit-b0": 3.32,
    "nvidia/mit-b1": 13.15,
    "nvidia/mit-b2": 24.20,
    "nvidia/mit-b3": 44.07,
    "nvidia/mit-b4": 60.84,
    "nvidia/mit-b5": 81.44,
    "openai/clip-vit-base-patch16": 85.80,
    "openai/clip-vit-large-patch14": 303.18,
}
"""Parameters of the published weights, of the image encoder alone, in millions."""


@pytest.mark.parametrize("name", PUBLISHED_SHAPES)
def test_a_shape_has_as_many_parameters_as_the_published_weights(name):
    with torch.device("meta"):
        assert weights_are_left_out()
        network = AutoModel.from_config(published_shape(name).make_config())
    network = getattr(network, "vision_model", network)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 2) == MILLIONS[name]
    assert not weights_are_left_out()


def test_a_configuration_is_new_each_time_and_other_names_have_none():
    shape = published_shape("nvidia/mit-b2")
    shape.make_config().depths[0] = 9
    assert shape.make_config().depths == [3, 4, 6, 3]
    assert published_shape("facebook/dinov3") is None


def test_a_teacher_of_known_shape_needs_no_hub_on_the_meta_device():
    with torch.device("meta"):
        teacher = load_frozen_teacher("openai/clip-vit-large-patch14@224")
    assert (teacher.patch_size, teacher.hidden_size, teacher.image_size) == (14, 1024, 224)
    assert teacher.mean[0] == pytest.approx(0.4815, abs=1e-4)
    assert {parameter.device.type for parameter in teacher.network.parameters()} == {"meta"}
