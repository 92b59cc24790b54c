import numpy as np
import pytest
from PIL import Image

from s5_hf.dataset_builders.errors import SampleError
from s5_hf.dataset_builders.labels import ISAID_PALETTE, ISPRS_PALETTE
from s5_hf.dataset_builders.loveda import LoveDA
from s5_hf.dataset_builders.masks import MaskEncoding, color_encoding, encode_mask


def test_loveda_values_shift_and_no_data_is_ignored():
    stored = np.arange(8, dtype=np.uint8).reshape(2, 4)
    ids = LoveDA.ENCODING.class_ids(Image.fromarray(stored), "m.png")
    assert ids.tolist() == [[255, 0, 1, 2], [3, 4, 5, 6]]
    assert ids.dtype == np.uint8
    with pytest.raises(SampleError, match=r"m.png: mask values \[8, 9\] stand for no class"):
        LoveDA.ENCODING.class_ids(Image.fromarray(np.array([[8, 9, 1]], dtype=np.uint8)), "m.png")


@pytest.mark.parametrize("palette", [ISAID_PALETTE, ISPRS_PALETTE])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_every_colour_becomes_its_id(palette, mode):
    ids = np.random.default_rng(0).integers(0, len(palette), (9, 7))
    colours = Image.fromarray(np.array(palette, dtype=np.uint8)[ids]).convert(mode)
    assert (color_encoding(palette).class_ids(colours, "m.png") == ids).all()


def test_unknown_colour_and_unexpected_channels_are_named():
    pixels = np.array([[ISPRS_PALETTE[0], (1, 2, 3)]], dtype=np.uint8)
    with pytest.raises(SampleError, match=r"m.png: label colours that no class has: \(1, 2, 3\) in 1 pixels"):
        color_encoding(ISPRS_PALETTE).class_ids(Image.fromarray(pixels), "m.png")
    with pytest.raises(SampleError, match="mode 'RGB', expected one channel"):
        MaskEncoding().class_ids(Image.fromarray(pixels), "m.png")


def test_masks_of_other_depths():
    encoding = MaskEncoding()
    assert encoding.keeps("L") and encoding.keeps("P")
    assert not encoding.keeps("1") and not encoding.keeps("I;16")
    one_bit = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    assert encoding.class_ids(one_bit, "m").tolist() == [[0, 1]]
    deep = Image.fromarray(np.array([[3, 255]], dtype=np.uint16))
    assert encoding.class_ids(deep, "m").tolist() == [[3, 255]]
    with pytest.raises(SampleError, match="mask values 3 to 300, expected 0 to 255"):
        encoding.class_ids(Image.fromarray(np.array([[3, 300]], dtype=np.uint16)), "m")


def test_encoded_masks_are_lossless(tmp_path):
    ids = np.random.default_rng(1).integers(0, 256, (13, 5), dtype=np.uint8)
    (tmp_path / "m.png").write_bytes(encode_mask(ids))
    with Image.open(tmp_path / "m.png") as reread:
        assert reread.mode == "L" and (np.asarray(reread) == ids).all()
