"""The strong view against Pillow: pixel by pixel at fixed parameters, and in its distributions."""

import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage, stats

from s5_hf.training.views import strong as augmentations
from s5_hf.training.views.strong import strong_view
from s5_hf.training.views.strong_draws import (
    NEXT_IMAGE,
    OPERATIONS,
    StrongAugmentation,
    StrongDraws,
    StrongParameters,
    draw_strong_parameters,
)


@pytest.fixture(scope="module")
def picture():
    """Smooth colours with sharp edges, uint8 `(64, 64, 3)`."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.random((64, 64, 3)), (6, 6, 0))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    smooth[20:40, 30:50] = [0.9, 0.2, 0.1]
    return (smooth * 255).astype(np.uint8)


def as_tensor(picture, batch=1):
    return augmentations.to_unit_range(torch.from_numpy(picture).permute(2, 0, 1)[None].repeat(batch, 1, 1, 1))


def as_array(images):
    return images[0].permute(1, 2, 0).numpy() * 255


def column(value):
    return torch.tensor(value).view(1, 1, 1, 1)


@pytest.mark.parametrize("factor", [0.5, 0.83, 1.0, 1.5])
@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_jitter_equals_pillow(picture, name, enhancer, factor):
    expected = np.asarray(enhancer(Image.fromarray(picture)).enhance(factor)).astype(float)
    own = as_array(augmentations.ADJUST[name](as_tensor(picture), column(factor)))
    assert np.abs(own - expected).max() <= 1.5  # Pillow rounds the gray and the result to integers


@pytest.mark.parametrize("shift", [-0.25, -0.1, 0.0, 0.2])
def test_hue_equals_the_hsv_formula(picture, shift):
    import colorsys

    own = as_array(augmentations.adjust_hue(as_tensor(picture), column(shift)))
    for row in range(0, 64, 7):
        for place in range(0, 64, 7):
            hue, saturation, value = colorsys.rgb_to_hsv(*(picture[row, place] / 255))
            expected = np.array(colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value)) * 255
            assert own[row, place] == pytest.approx(expected, abs=1e-3)


def test_hue_is_close_to_pillows_8_bit_hue(picture):
    hue, saturation, value = Image.fromarray(picture).convert("HSV").split()
    turned = Image.fromarray((np.asarray(hue).astype(int) + round(0.2 * 255)).astype(np.uint8))
    expected = np.asarray(Image.merge("HSV", (turned, saturation, value)).convert("RGB")).astype(float)
    own = as_array(augmentations.adjust_hue(as_tensor(picture), column(0.2)))
    assert np.abs(own - expected).mean() < 1.5
    assert np.abs(own - expected).max() < 10


def test_grayscale_equals_pillow(picture):
    expected = np.asarray(Image.fromarray(picture).convert("L")).astype(float)
    own = augmentations.grayscale(as_tensor(picture))[0, 0].numpy() * 255
    assert np.abs(own - expected).max() <= 0.51


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_equals_the_gaussian(picture, sigma):
    own = as_array(augmentations.gaussian_blur(as_tensor(picture), torch.tensor([sigma])))
    expected = ndimage.gaussian_filter(
        picture.astype(float), (sigma, sigma, 0), mode="nearest", radius=(6, 6, 0), truncate=99
    )
    assert np.abs(own - expected).max() < 1e-2


def test_each_image_gets_its_own_blur(picture):
    images = as_tensor(picture, batch=2)
    both = augmentations.gaussian_blur(images, torch.tensor([0.5, 2.0]))
    alone = augmentations.gaussian_blur(images[1:], torch.tensor([2.0]))
    torch.testing.assert_close(both[1:], alone)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def parameters(order=(0, 1, 2, 3), factors=(1.2, 0.7, 1.4, 0.1), **changes):
    values = {
        "jitter": torch.tensor([True]),
        "order": torch.tensor([order]),
        "factors": torch.tensor([factors]),
        "grayscale": torch.tensor([False]),
        "sigma": torch.tensor([0.0]),
        "box": torch.zeros(1, 4, dtype=torch.int64),
        "bands": torch.zeros(1, 0, 3),
    }
    return StrongParameters(**{**values, **changes})


def test_operations_run_in_the_order_of_the_sample(picture):
    images = as_tensor(picture)
    expected = images
    for index in (3, 1, 0, 2):
        name = OPERATIONS[index]
        expected = augmentations.ADJUST[name](expected, column((1.2, 0.7, 1.4, 0.1)[index]))
    torch.testing.assert_close(strong_view(images, parameters(order=(3, 1, 0, 2))), expected)
    assert not torch.allclose(strong_view(images, parameters()), expected, atol=1e-2)
    torch.testing.assert_close(images, as_tensor(picture))


def test_jitter_then_gray_then_blur(picture):
    images = as_tensor(picture)
    drawn = parameters(grayscale=torch.tensor([True]), sigma=torch.tensor([1.3]))
    expected = augmentations.grayscale(strong_view(images, parameters())).expand(-1, 3, -1, -1)
    expected = augmentations.gaussian_blur(expected, torch.tensor([1.3]))
    torch.testing.assert_close(strong_view(images, drawn), expected)


def test_nothing_drawn_changes_nothing(picture):
    images = as_tensor(picture)
    assert torch.equal(strong_view(images, parameters(jitter=torch.tensor([False]))), images)


def test_a_sample_does_not_depend_on_its_batch(picture):
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.random((4, 3, 32, 32), dtype=np.float32))
    seeds = [5, 6, 7, 8]
    together = strong_view(images, draw_strong_parameters(seeds, 32, StrongAugmentation()))
    for row, seed in enumerate(seeds):
        alone = strong_view(images[row : row + 1], draw_strong_parameters([seed], 32, StrongAugmentation()))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-6)


def test_all_images_at_once_look_as_one_by_one():
    """What a GPU computes, here on the CPU; every order of the operations, and images without jitter among them."""
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.random((48, 3, 16, 16), dtype=np.float32))
    orders = torch.tensor(list(itertools.permutations(range(4)))).repeat(2, 1)
    drawn = replace(draw_strong_parameters(range(48), 16, StrongAugmentation()), order=orders)
    own = augmentations.colors_together(images, drawn)
    expected = augmentations.colors_one_by_one(images, drawn)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)
    changed = drawn.jitter | drawn.grayscale
    assert torch.equal(own[~changed], images[~changed]) and (~changed).sum() >= 5
    own = expected.clone()
    augmentations.blur_one_by_one(expected, drawn.sigma)
    assert (own != expected).flatten(1).any(dim=1).sum() > 12
    augmentations.blur_together(own, drawn.sigma, int((drawn.sigma > 0).sum()))
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 5])
def test_parameters_are_packed_without_a_rounding_error(channels):
    drawn = draw_strong_parameters(range(20), 512, StrongAugmentation(), channels=channels)
    found = StrongParameters.unpacked(drawn.packed())
    for field in fields(StrongParameters):
        own, other = getattr(found, field.name), getattr(drawn, field.name)
        assert own.dtype == other.dtype and torch.equal(own, other), field.name


def test_a_worker_draws_each_view_of_each_image_of_a_row():
    draws = StrongDraws(StrongAugmentation(), views=2)
    packed = draws(7, torch.zeros(2, 4, 8, 8, dtype=torch.uint8))
    seeds = [7, 7 + NEXT_IMAGE]
    for view in range(2):
        assert torch.equal(packed[view], draw_strong_parameters(seeds, 8, draws.augmentation, view, 4).packed())
    single = draws(7, torch.zeros(4, 8, 8, dtype=torch.uint8))
    assert torch.equal(single, packed[:, :1])


def test_the_draws_of_a_seed_stay_what_they_were():
    """Runs that are resumed, and those that are compared, see the same views."""
    drawn = draw_strong_parameters([5], 512, StrongAugmentation(cutmix_probability=1.0), view=1, channels=4)
    found = {field.name: getattr(drawn, field.name)[0].tolist() for field in fields(StrongParameters)}
    assert (found["jitter"], found["grayscale"], found["sigma"]) == (True, False, 0.0)
    assert (found["order"], found["box"]) == ([0, 3, 1, 2], [43, 140, 415, 366])
    assert found["factors"] == pytest.approx([1.05770397, 0.89812881, 0.60825020, 0.04077439], abs=1e-7)
    assert found["bands"][3] == pytest.approx([0.97458029, 0.98351306, 0.03529925], abs=1e-7)


def test_views_of_one_sample_differ():
    first, second = (draw_strong_parameters([5], 32, StrongAugmentation(), view=view) for view in (0, 1))
    assert not torch.equal(first.factors, second.factors)


def test_the_strong_view_needs_draws_for_the_channels_of_the_images():
    with pytest.raises(ValueError, match="drawn for 3 channels, the images have 4"):
        strong_view(torch.zeros(1, 4, 8, 8), parameters())


@pytest.fixture(scope="module")
def drawn():
    return draw_strong_parameters(range(4000), 512, StrongAugmentation())


class TestDistributions:
    """4000 draws against the distributions that the paper's operations have by definition."""

    def test_probabilities(self, drawn):
        shares = [drawn.jitter, drawn.grayscale, drawn.sigma > 0, drawn.box.any(dim=1)]
        assert [share.float().mean().item() for share in shares] == pytest.approx([0.8, 0.2, 0.5, 0.5], abs=0.03)

    def test_factors_are_uniform(self, drawn):
        for index, (low, width) in enumerate([(0.5, 1.0)] * 3 + [(-0.25, 0.5)]):
            assert stats.kstest(drawn.factors[:, index].numpy(), "uniform", (low, width)).pvalue > 0.01

    def test_sigma_is_uniform(self, drawn):
        sigma = drawn.sigma[drawn.sigma > 0].numpy()
        assert stats.kstest(sigma, "uniform", (0.1, 1.9)).pvalue > 0.01

    def test_every_order_is_as_likely(self, drawn):
        _, counts = np.unique(drawn.order.numpy(), axis=0, return_counts=True)
        assert len(counts) == 24
        assert stats.chisquare(counts).pvalue > 0.01

    def test_draws_are_independent(self, drawn):
        correlation = np.corrcoef(drawn.factors.T.numpy())
        assert np.abs(correlation - np.eye(4)).max() < 0.06

    def test_boxes_follow_the_official_draw(self, drawn):
        boxes = drawn.box[drawn.box.any(dim=1)].double().numpy()
        own_heights, own_widths = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        reference = np.array([reference_box(np.random.default_rng(seed)) for seed in range(4000)], dtype=float)
        for own, column in ((own_heights, 0), (own_widths, 1), (boxes[:, 0], 2), (boxes[:, 1], 3)):
            assert stats.ks_2samp(own, reference[:, column]).pvalue > 0.01
        shares = own_heights * own_widths / 512**2
        assert shares.min() > 0.0195 and shares.max() <= 0.4
        assert (boxes >= 0).all() and (boxes <= 512).all()

    def test_colours_follow_the_pillow_pipeline(self, drawn, picture):
        """Mean and spread over draws of simple statistics, against the same operations done with Pillow."""
        own = strong_view(as_tensor(picture, batch=400), first_rows(drawn, 400))
        own_statistics = np.stack([own.mean(dim=(1, 2, 3)).numpy(), own.std(dim=(1, 2, 3)).numpy()])
        expected = np.stack([pillow_statistics(picture, np.random.default_rng(seed)) for seed in range(400)], axis=1)
        for index in (0, 1):
            assert stats.ks_2samp(own_statistics[index], expected[index]).pvalue > 0.01


def first_rows(drawn, count):
    return StrongParameters.unpacked(drawn.packed()[:count])


def reference_box(rng, size=512):
    """Height, width, top, left: the paper's box drawn with numpy."""
    area = rng.uniform(0.02, 0.4) * size * size
    while True:
        aspect = rng.uniform(0.3, 1 / 0.3)
        height, width = int(math.sqrt(area * aspect)), int(math.sqrt(area / aspect))
        left, top = rng.integers(0, size), rng.integers(0, size)
        if left + width <= size and top + height <= size:
            return height, width, top, left


def pillow_statistics(picture, rng):
    """Mean and standard deviation (0..1) of one strong view made with Pillow."""
    from PIL import ImageFilter

    image = Image.fromarray(picture)
    if rng.random() < 0.8:
        for index in rng.permutation(4):
            factor = rng.uniform(0.5, 1.5)
            if index == 3:
                hue, saturation, value = image.convert("HSV").split()
                turned = np.asarray(hue).astype(int) + round(rng.uniform(-0.25, 0.25) * 255)
                image = Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value)).convert(
                    "RGB"
                )
            else:
                enhancer = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[index]
                image = enhancer(image).enhance(factor)
    if rng.random() < 0.2:
        image = image.convert("L").convert("RGB")
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.1, 2.0)))
    pixels = np.asarray(image) / 255
    return pixels.mean(), pixels.std(ddof=1)


def test_box_masks_are_true_inside():
    masks = augmentations.box_masks(torch.tensor([[1, 2, 3, 5], [0, 0, 0, 0]]), 6, torch.device("cpu"))
    expected = torch.zeros(2, 6, 6, dtype=torch.bool)
    expected[0, 1:3, 2:5] = True
    assert torch.equal(masks, expected)


def test_normalize():
    images = torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1)
    own = augmentations.normalize(images, (0.5, 0.5, 0.5), (0.1, 0.2, 0.1))
    torch.testing.assert_close(own.flatten(), torch.tensor([0.0, 0.5, 2.0]))
