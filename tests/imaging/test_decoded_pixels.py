"""Images of 8 bits per channel become arrays, others are refused by name."""

import numpy as np
import pytest
from PIL import Image

from s5_hf.imaging import has_8_bits, image_pixels


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("P", 3), ("1", 3)])
def test_8_bit_images_become_height_width_channels(mode, channels):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(values).convert(mode)
    pixels = image_pixels(image)
    assert pixels.shape == (5, 7, channels) and pixels.dtype == np.uint8
    if mode == "RGB":
        assert (pixels == values).all() and (image_pixels(values) == values).all()
    assert has_8_bits(image)


@pytest.mark.parametrize("mode", ["I", "I;16", "F"])
def test_deeper_images_are_refused_by_their_file(tmp_path, mode):
    path = tmp_path / "deep.tif"
    Image.new(mode, (4, 3)).save(path)
    with Image.open(path) as image:
        assert not has_8_bits(image)
        with pytest.raises(ValueError, match=r"deep\.tif: expected an image of 8 bits per channel"):
            image_pixels(image)
    with pytest.raises(ValueError, match=r"got float32 \(2, 2, 3\)"):
        image_pixels(np.zeros((2, 2, 3), dtype=np.float32))
