"""The weak view against its definition: sizes, padding, and image and labels moving together."""

import numpy as np
import pytest
import torch
from PIL import Image

from s5_hf.imaging import image_pixels
from s5_hf.training.views.weak import SampleView, WeakView, sample_seed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gradient_image(height, width):
    """Every pixel tells its place: red is the row, green the column (0..255 over the image)."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 255 / height, columns * 255 / width, np.zeros_like(rows)], axis=2).astype(np.uint8)


def test_the_view_is_reproducible_from_its_generator():
    image, mask = gradient_image(90, 70), np.arange(90 * 70).reshape(90, 70).astype(np.uint8) % 5
    first, second, other = (WeakView(64)(image, mask, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("seed", range(20))
def test_labels_stay_on_their_pixels(seed):
    """The mask marks the lower right quarter; after the view, marked pixels still have the colours of that quarter."""
    image = gradient_image(200, 120)
    mask = np.zeros((200, 120), dtype=np.uint8)
    mask[100:, 60:] = 1
    view, labels = WeakView(96)(image, mask, generator(seed))
    assert view.dtype == labels.dtype == torch.uint8
    assert (view[:, labels == 255] == 0).all()
    seen = labels != 255
    in_quarter = (view[0] >= 130) & (view[1] >= 130)
    outside = (view[0] < 124) | (view[1] < 124)
    assert (labels[in_quarter & seen] == 1).all()
    assert (labels[outside & seen] == 0).all()


def test_small_images_are_padded_and_ignored_at_one_corner():
    image = np.full((20, 30, 3), 200, dtype=np.uint8)
    view = WeakView(64, scale_range=(1.0, 1.0), flip_probability=0.0)
    pixels, labels = view(image, np.zeros((20, 30), dtype=np.uint8), generator())
    expected = torch.full((64, 64), 255, dtype=torch.uint8)
    expected[:20, :30] = 0
    assert torch.equal(labels, expected)
    assert (pixels[:, :20, :30] == 200).all() and pixels[:, 20:].sum() == 0


def test_scale_one_and_crop_of_the_whole_image_changes_nothing():
    image = gradient_image(64, 64)
    pixels, labels = WeakView(64, (1.0, 1.0), 0.0)(Image.fromarray(image), image[:, :, 0], generator())
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), image)
    assert np.array_equal(labels.numpy(), image[:, :, 0])


def test_a_resized_crop_equals_the_crop_of_the_resized_image_away_from_its_border():
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    pixels, _ = WeakView(64, (1.5, 1.5), 0.0)(image, None, generator(3))
    whole = np.asarray(Image.fromarray(image).resize((120, 120), Image.Resampling.BILINEAR))
    own = pixels.permute(1, 2, 0).numpy()[2:-2, 2:-2].astype(int)
    differences = [
        np.abs(own - whole[top + 2 : top + 62, left + 2 : left + 62]).max() for top in range(57) for left in range(57)
    ]
    assert min(differences) <= 2  # Pillow rounds to integers after each of its two passes


def test_scales_and_flips_have_the_published_distribution():
    """An image with one bright quarter: its share of the view tells the scale, its corner the flips."""
    view, scales, flips = WeakView(256), [], []
    image = np.full((100, 100, 3), 10, dtype=np.uint8)
    image[:50, :50] = 200
    for seed in range(600):
        pixels, labels = view(image, None, generator(seed))
        scales.append(((labels == 0).sum().item()) ** 0.5 / 100)
        rows, columns = torch.nonzero(labels == 0).float().mean(0) - torch.nonzero(pixels[0] > 100).float().mean(0)
        flips.append((float(rows < 0), float(columns < 0)))
    assert min(scales) >= 0.5 and max(scales) <= 2.0
    assert np.quantile(scales, [0.25, 0.5, 0.75]) == pytest.approx([0.875, 1.25, 1.625], abs=0.08)
    assert np.mean(flips, axis=0) == pytest.approx([0.5, 0.5], abs=0.06)


def test_other_numbers_of_channels_are_kept():
    pixels, _ = WeakView(32)(np.zeros((40, 40, 4), dtype=np.uint8), None, generator())
    assert pixels.shape == (4, 32, 32)


class TestSampleView:
    view = SampleView(WeakView(32), seed=1, stream="labelled", num_labels=3, ignore_index=9)

    def sample(self, value=1):
        return {"id": "a", "image": np.zeros((40, 40, 3), np.uint8), "mask": np.full((40, 40), value, np.uint8)}

    def test_ignore_index_becomes_255(self):
        assert (self.view(self.sample(9), 0)["labels"] == 255).all()

    def test_epochs_and_streams_differ(self):
        assert sample_seed(1, "labelled", 0, "a") == sample_seed(1, "labelled", 0, "a")
        assert len({sample_seed(1, s, e, "a") for s in ("labelled", "unlabelled") for e in (0, 1)}) == 4

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"mask": np.full((40, 40), 7, np.uint8)}, r"'a' holds the values \[7\], but the model has 3 classes"),
            ({"mask": None}, "'a' has no mask"),
            ({"image": None}, "'a' has no image"),
            ({"image": np.zeros((40, 40, 4), np.uint8)}, "'a' has 4 channels, the model takes 3"),
            ({"image": np.zeros((40, 40, 3), np.float32)}, "8 bits per channel"),
            ({"mask": np.zeros((40, 41), np.uint8)}, r"mask has the shape \(40, 41\)"),
        ],
    )
    def test_bad_samples_are_named(self, change, message):
        with pytest.raises(ValueError, match=message):
            self.view({**self.sample(), **change}, 0)


def test_an_image_file_of_16_bits_is_named(tmp_path):
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.tif")
    message = r"deep\.tif: expected an image of 8 bits per channel"
    with Image.open(tmp_path / "deep.tif") as image, pytest.raises(ValueError, match=message):
        image_pixels(image)
