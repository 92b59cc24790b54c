"""Label images become class ids; colours and ids that no class has are named."""

import numpy as np
import pytest
from PIL import Image

from s5_hf.dataset_builders.isprs import RELEASE_ENCODING
from s5_hf.dataset_builders.label_colors import decode_colors
from s5_hf.dataset_builders.labels import ISAID_PALETTE, ISPRS_PALETTE
from s5_hf.preparation.labels import read_label

ISPRS = RELEASE_ENCODING.colors


@pytest.mark.parametrize("palette", [ISPRS_PALETTE, ISAID_PALETTE])
def test_colors_come_back_as_their_ids(palette):
    ids = np.random.default_rng(0).integers(0, len(palette), (1100, 7)).astype(np.uint8)
    decoded = decode_colors(
        np.array(palette, dtype=np.uint8)[ids], dict(zip(palette, range(len(palette)), strict=True))
    )
    assert decoded.dtype == np.uint8
    assert (decoded == ids).all()


def test_unknown_colors_are_named_with_their_counts(tmp_path):
    pixels = np.full((600, 4, 3), 255, dtype=np.uint8)
    pixels[0, :3] = (1, 2, 3)
    pixels[599, 0] = (1, 2, 3)
    pixels[5, 0] = (9, 9, 9)
    path = tmp_path / "top_potsdam_2_10_label.tif"
    Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError) as caught:
        read_label(path, ISPRS)
    assert str(path) in str(caught.value)
    assert "(1, 2, 3) in 4 pixels, (9, 9, 9) in 1 pixels" in str(caught.value)
    assert "(0, 255, 255)" in str(caught.value) and "--color-tolerance" in str(caught.value)


def test_a_tolerance_accepts_colors_that_are_slightly_off():
    pixels = np.array([[[252, 255, 0], [255, 255, 0]]], dtype=np.uint8)
    assert decode_colors(pixels, ISPRS, tolerance=3).tolist() == [[4, 4]]
    with pytest.raises(ValueError, match=r"\(252, 255, 0\) in 1 pixels"):
        decode_colors(pixels, ISPRS, tolerance=2)


def test_labels_that_hold_ids_are_checked(tmp_path):
    path = tmp_path / "ids.png"
    Image.fromarray(np.array([[0, 5, 1]], dtype=np.uint8)).save(path)
    assert read_label(path, ISPRS).tolist() == [[0, 5, 1]]
    Image.fromarray(np.array([[0, 6, 6]], dtype=np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"ids\.png: mask values \[6\] stand for no class, expected .* 6 in 2 pixels"):
        read_label(path, ISPRS)


def test_a_damaged_label_names_the_file(tmp_path):
    path = tmp_path / "label.png"
    path.write_bytes(b"not an image")
    with pytest.raises(OSError, match=r"label\.png cannot be read as a label image"):
        read_label(path, ISPRS)


def test_black_borders_between_classes_are_ignored():
    pixels = np.array([[[0, 0, 0], [255, 0, 0], [0, 0, 255]]], dtype=np.uint8)
    assert decode_colors(pixels, ISPRS).tolist() == [[5, 5, 1]]
