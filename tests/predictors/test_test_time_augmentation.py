"""The mean of probabilities over flips and scales."""

import pytest
import torch

from s5_hf.predictors.test_time_augmentation import FLIPS, predict_probabilities


def pixelwise(pixel_values):
    return pixel_values.softmax(dim=1)


def shaded(pixel_values):
    """Depends on the place in the image, as no equivariant model does: a ramp from left to right."""
    ramp = torch.linspace(0, 1, pixel_values.shape[3]).expand(len(pixel_values), 1, pixel_values.shape[2], -1)
    return torch.cat([ramp, 1 - ramp], dim=1)


def test_without_augmentation_it_is_the_prediction():
    images = torch.randn(2, 3, 5, 7)
    assert torch.equal(predict_probabilities(pixelwise, images), pixelwise(images))


def test_flips_do_not_change_a_pixelwise_prediction():
    images = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(predict_probabilities(pixelwise, images, flips=tuple(FLIPS)), pixelwise(images))


def test_the_mean_runs_over_the_flips():
    images = torch.zeros(1, 3, 4, 6)
    torch.testing.assert_close(
        predict_probabilities(shaded, images, flips=("none", "horizontal")), torch.full((1, 2, 4, 6), 0.5)
    )
    assert torch.equal(predict_probabilities(shaded, images, flips=("vertical",)), shaded(images))
    assert torch.equal(predict_probabilities(shaded, images, flips=("both",)), shaded(images).flip(3))


def test_scales_see_the_scaled_image_and_keep_probabilities():
    sizes = []

    def predict(pixel_values):
        sizes.append(tuple(pixel_values.shape[2:]))
        return pixelwise(pixel_values)

    images = torch.randn(1, 3, 48, 70)
    probabilities = predict_probabilities(predict, images, scales=(0.5, 1.0, 1.5))
    assert sizes == [(32, 32), (48, 70), (64, 112)]  # 24, 35, 72, 105 to multiples of 16; at a tie to the even one
    assert probabilities.shape == images.shape
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(1, 48, 70))


def test_a_constant_image_is_the_same_at_every_scale():
    images = torch.tensor([0.3, -1.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 20, 33)
    probabilities = predict_probabilities(pixelwise, images, flips=("none", "both"), scales=(0.75, 1.25))
    torch.testing.assert_close(probabilities, pixelwise(images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flips": ("none", "sideways")}, "none, horizontal, vertical, both, got 'sideways'"),
        ({"flips": ()}, "at least one flip"),
        ({"flips": "none"}, "in a list"),
        ({"scales": ()}, "one scale"),
        ({"scales": (1.0, 0.0)}, "positive numbers, got 1.0, 0.0"),
        ({"scales": (float("nan"),)}, "positive numbers"),
    ],
)
def test_wrong_augmentations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        predict_probabilities(pixelwise, torch.zeros(1, 3, 4, 4), **options)


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 4\) for an input of \(8, 8\)"):
        predict_probabilities(lambda images: images[:, :, ::2, ::2], torch.zeros(1, 3, 8, 8))
