"""Lists of images and the patches cut from them."""

import numpy as np
import pytest
from datasets import Dataset, Features, Value
from datasets import Image as ImageFeature
from PIL import Image

from s5_hf.curation.patches import PatchReader, cut_patches, decode_image, patch_windows
from s5_hf.curation.sources import ImageSource, open_images
from s5_hf.data.sharding import write_parquet_shards
from s5_hf.dataset_builders.band_images import BandImage
from s5_hf.dataset_builders.errors import CorruptImageError
from s5_hf.hub.normalization import InputSettings
from s5_hf.modeling.value_scaling import ValueScaling
from tests.band_files import block_bands, write_bands


def test_a_folder_in_the_order_of_its_paths(images):
    ids = [sample["id"] for sample in images.read(0, len(images))]
    assert ids == sorted(ids)
    assert ids[0] == "north/scene01"
    assert images[0]["source"] == "north"


def test_names_tell_sources_apart(archive):
    images = open_images([ImageSource(folder=str(archive)), ImageSource(folder=str(archive), name="copy")])
    assert len(images) == 24
    assert (images[12]["id"], images[12]["source"]) == ("copy/north/scene01", "copy/north")


def test_label_folders_are_passed_over(labelled_tiles):
    assert len(open_images(ImageSource(folder=str(labelled_tiles)))) == 16


def test_registry_datasets_bring_their_masks(labelled_tiles):
    source = ImageSource(dataset="s5-image-mask", data_dir=str(labelled_tiles), options={"classes": ["a", "b", "c"]})
    sample = open_images(source)[3]
    patch = next(cut_patches(sample, 3, None, None))
    mask = np.asarray(Image.open(labelled_tiles / "masks" / f"{sample['id'].split('/')[-1]}.png"))
    assert patch.label_counts[:3].tolist() == np.bincount(mask.reshape(-1), minlength=3).tolist()
    assert patch.label_counts.sum() == 64 * 64


def test_parquet_shards_give_the_same_images(archive, images, tmp_path):
    features = Features({"image": ImageFeature(), "id": Value("string"), "source": Value("string")})
    write_parquet_shards(images.read(0, len(images)), tmp_path / "shards", features=features, row_group_bytes=20_000)
    shards = open_images(ImageSource(dataset="s5-million-aid", data_dir=str(tmp_path / "shards")))
    assert [shards[n]["id"] for n in range(12)] == [images[n]["id"] for n in range(12)]
    for number in (11, 0, 5):
        decoded = [np.asarray(decode_image(place[number]["image"], "x")) for place in (shards, images)]
        assert np.array_equal(*decoded)


def test_other_datasets_are_indexed(tmp_path):
    folder = tmp_path / "plain"
    pixels = np.full((9, 7, 3), 50, dtype=np.uint8)
    Dataset.from_dict({"image": [Image.fromarray(pixels)]}, Features({"image": ImageFeature()})).to_parquet(
        folder.with_suffix(".parquet")
    )
    source = ImageSource(dataset="parquet", options={"data_files": str(folder.with_suffix(".parquet"))})
    sample = open_images(source)[0]
    assert (sample["id"], sample["source"]) == ("000000000", "parquet")
    assert np.array_equal(next(cut_patches(sample, 0, 512, None)).pixels, pixels)


def test_windows():
    assert patch_windows(150, 64, 64, None) == [(0, 0, 64, 64), (64, 0, 128, 64), (86, 0, 150, 64)]
    assert patch_windows(150, 64, 64, None, "drop") == [(0, 0, 64, 64), (64, 0, 128, 64)]
    assert patch_windows(128, 64, 64, 32, "drop") == [(0, 0, 64, 64), (32, 0, 96, 64), (64, 0, 128, 64)]
    assert patch_windows(50, 90, 64, None, "drop") == [(0, 0, 50, 64)]
    assert patch_windows(150, 64, None, None) == [(0, 0, 150, 64)]
    with pytest.raises(ValueError, match="shift, drop, got 'pad'"):
        patch_windows(10, 10, 5, None, "pad")


def test_patches_are_the_pixels_of_their_windows(archive, images):
    number = next(n for n in range(12) if images[n]["id"] == "north/scene11")
    whole = np.asarray(Image.open(archive / "north" / "scene11.png"))
    patches = list(cut_patches(images[number], number, 64, 64))
    assert [patch.id for patch in patches][:3] == ["north/scene11@0,0", "north/scene11@64,0", "north/scene11@86,0"]
    assert len(patches) == 9
    for patch in patches:
        left, top, right, bottom = patch.window
        assert np.array_equal(patch.pixels, whole[top:bottom, left:right])


def test_errors(tmp_path):
    with pytest.raises(ValueError, match="no images in"):
        open_images(ImageSource(folder=str(tmp_path)))
    with pytest.raises(ValueError, match="no sources at all"):
        open_images([])
    with pytest.raises(FileNotFoundError):
        open_images(ImageSource(folder=str(tmp_path / "absent")))
    with pytest.raises(ValueError, match="either folder or dataset"):
        ImageSource()
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    sample = open_images(ImageSource(folder=str(tmp_path)))[0]
    with pytest.raises(CorruptImageError, match=r"deep: .*8 bits"):
        list(cut_patches(sample, 0, None, None))


def test_patches_of_other_bands_are_scaled_as_the_network_was_trained_and_cut_from_their_own_values(tmp_path):
    pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")
    values, _ = block_bands(1)
    write_bands(tmp_path / "a.tif", values, ("red", "green", "blue", "nir"))
    images = open_images(ImageSource(folder=str(tmp_path)))
    scaling = ValueScaling((0.0, 100.0), (3000.0, 2000.0))
    network = InputSettings((0.5, 0.5), (0.2, 0.2), scaling, ("nir", "red"))
    patches = list(cut_patches(images[0], 0, 36, 36, network=network))
    whole = scaling.to_bytes(values[[3, 0]].transpose(1, 2, 0))
    assert len(patches) == 4 and patches[1].pixels.shape == (36, 36, 2)
    assert np.array_equal(patches[1].pixels, whole[:36, 36:])
    with pytest.raises(CorruptImageError, match=r"a: "):
        list(cut_patches(images[0], 0, 36, 36))
    row = {"id": "a@36,0", "image": 0, "left": 36, "top": 0, "width": 36, "height": 36}
    reader = PatchReader(images)
    assert reader.patch(row).mode == "RGB" and reader.patch(row).size == (36, 36)
    decoded = BandImage().decode_example(reader.encoded(row))
    assert np.array_equal(decoded, values[:, :36, 36:].transpose(1, 2, 0))
