"""Images of other bands and depths than RGB of 8 bits, as datasets hand them out."""

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

import s5_hf  # noqa: F401 - registers the names of the datasets
from s5_hf.dataset_builders.band_images import BandImage
from s5_hf.dataset_builders.errors import CorruptImageError, SampleError
from tests.band_files import block_bands, write_bands, write_dataset

pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")

CLASSES = ["soil", "crop", "water"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("bands"), train=3, val=1)


def load(folder, split="train", **options):
    return load_dataset("s5-image-mask", data_dir=str(folder), split=split, classes=CLASSES, **options)


def test_values_keep_their_depth_and_nodata_becomes_ignored(folder):
    samples = load(folder)
    first, second = samples[0], samples[1]
    values, mask = block_bands(0, nodata_corner=True)
    assert first["image"].dtype == np.uint16 and first["image"].shape == (72, 72, 4)
    np.testing.assert_array_equal(np.ma.getdata(first["image"]), values.transpose(1, 2, 0))
    missing = np.ma.getmaskarray(first["image"])
    assert missing[:8, :8].all() and missing.sum() == 8 * 8 * 4
    expected = mask.copy()
    expected[:8, :8] = 255
    np.testing.assert_array_equal(np.asarray(first["mask"]), expected)
    assert not np.ma.isMaskedArray(second["image"])
    np.testing.assert_array_equal(np.asarray(second["mask"]), block_bands(1)[1])


def test_bands_are_chosen_by_number_and_by_name_in_any_order(folder):
    values = block_bands(1)[0]
    for bands in ([4, 1], ["nir", "red"], ["NIR", 1]):
        image = load(folder, bands=bands)[1]["image"]
        np.testing.assert_array_equal(image, values[[3, 0]].transpose(1, 2, 0))


def test_a_streamed_sample_is_the_indexed_one(folder):
    indexed = load(folder, bands=["nir"])[1]["image"]
    streamed = list(load(folder, bands=["nir"], streaming=True))[1]["image"]
    np.testing.assert_array_equal(indexed, streamed)


def test_the_option_nodata_goes_before_the_file(folder):
    values = block_bands(0, nodata_corner=True)[0]
    sample = load(folder, nodata=12345)[0]
    np.testing.assert_array_equal(sample["image"], values.transpose(1, 2, 0))
    assert not np.ma.isMaskedArray(sample["image"]) and 255 not in np.asarray(sample["mask"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [5]}, r"0\.tif has no band 5, only bands 1 to 4; it has: 1 \(.*red\)"),
        ({"bands": ["swir"]}, r"0\.tif has no band called 'swir'; it has: .*4 \(.*nir\)"),
        ({"bands": []}, "bands must be a list of numbers from 1 or names"),
        ({"bands": [1, 1]}, "bands holds a band twice"),
        ({"bands": [0]}, "bands must be a list"),
        ({"nodata": "none"}, "nodata must be a number"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        load(folder, **options)


@pytest.mark.parametrize(
    ("values", "kind"), [(np.ones((3, 72, 72)), "3 bands of float64"), (None, "4 bands of int16")]
)
def test_files_with_other_bands_or_another_type_are_named(tmp_path, values, kind):
    write_dataset(tmp_path, train=3, val=0)
    other = np.ones((4, 72, 72), dtype=np.int16) if values is None else values
    write_bands(tmp_path / "train" / "images" / "2.tif", other)
    with pytest.raises(SampleError, match=rf"2\.tif gives {kind}, but .*0\.tif gives 4 bands of uint16"):
        load(tmp_path)


def test_complex_numbers_and_damaged_files_are_refused(tmp_path):
    write_dataset(tmp_path, train=2, val=0)
    write_bands(tmp_path / "train" / "images" / "1.tif", np.ones((4, 72, 72), dtype=np.complex64))
    with pytest.raises(SampleError, match=r"1\.tif holds complex numbers \(complex64\)"):
        load(tmp_path)
    path = tmp_path / "train" / "images" / "1.tif"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorruptImageError, match=r"1\.tif"):
        load(tmp_path)


def test_broken_band_files_are_left_out_on_request(tmp_path):
    write_dataset(tmp_path, train=3, val=0)
    path = tmp_path / "train" / "images" / "1.tif"
    path.write_bytes(path.read_bytes()[:200])
    assert load(tmp_path, corrupt_images="skip")["id"] == ["0", "2"]


def test_rgb_of_8_bits_stays_with_pillow(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "masks").mkdir()
    Image.fromarray(pixels).save(tmp_path / "train" / "images" / "a.png")
    Image.fromarray(pixels[:, :, 0] % 3).save(tmp_path / "train" / "masks" / "a.png")
    image = load(tmp_path)[0]["image"]
    assert isinstance(image, Image.Image) and image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), pixels)
    swapped = load(tmp_path, bands=[3, 2, 1])[0]["image"]
    np.testing.assert_array_equal(swapped, pixels[:, :, ::-1])


def test_the_16_bits_of_a_png_are_not_cut_to_8(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    samples = load_dataset("s5-million-aid", data_dir=str(tmp_path), split="train")
    np.testing.assert_array_equal(samples[0]["image"], values[:, :, None])


def test_a_transparency_band_is_no_channel_but_says_where_there_is_data(tmp_path):
    values = np.random.default_rng(0).integers(1, 200, (4, 24, 24), dtype=np.uint8)
    values[3] = 255
    values[3, :6] = 0
    write_bands(tmp_path / "a.tif", values, photometric="RGB", alpha="yes")
    by_default = load_dataset("s5-million-aid", data_dir=str(tmp_path), split="train")[0]["image"]
    assert by_default.shape == (24, 24, 3) and np.ma.getmaskarray(by_default)[:6].all()
    all_bands = load_dataset("s5-million-aid", data_dir=str(tmp_path), split="train", bands=[1, 2, 3, 4])[0]["image"]
    np.testing.assert_array_equal(all_bands, values.transpose(1, 2, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_an_array_that_is_encoded_again_keeps_values_and_mask(dtype):
    values = (np.random.default_rng(0).random((10, 12, 5)) * 200).astype(dtype)
    missing = np.zeros((10, 12, 5), dtype=bool)
    missing[:3, :4] = True
    column = BandImage()
    for image in (values, np.ma.masked_array(values, missing)):
        decoded = column.decode_example(column.encode_example(image))
        np.testing.assert_array_equal(np.ma.getdata(decoded), values)
        assert (np.ma.getmaskarray(decoded) == np.ma.getmaskarray(image)).all()
