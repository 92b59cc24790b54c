"""What the bands of a dataset hold, measured once."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.data import measure_bands, open_folder
from s5_hf.data.dataset_folder import decoded_images
from tests.band_files import write_dataset


def samples(count=4, bands=3, dtype=np.uint16, scale=1000):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64, 1) * (np.arange(bands) + 1)
    return [
        {"id": str(index), "image": (ramp * scale + rng.integers(0, 50, (64, 64, bands))).astype(dtype)}
        for index in range(count)
    ]


def test_percentiles_mean_and_deviation_are_those_of_all_valid_pixels():
    data = samples()
    values = np.concatenate([sample["image"].reshape(-1, 3) for sample in data])
    found = measure_bands([data], percentiles=(1, 99))
    low, high = np.percentile(values, (1, 99), axis=0)
    np.testing.assert_allclose(found.value_scaling.low, low)
    np.testing.assert_allclose(found.value_scaling.high, high)
    share = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255) / 255
    np.testing.assert_allclose(found.image_mean, share.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.image_std, share.std(axis=0), atol=1e-6)
    assert (found.dtype, found.images, found.highest) == ("uint16", 4, tuple(map(float, values.max(axis=0))))


def test_pixels_without_data_do_not_count():
    data = samples()
    spoiled = [dict(sample, image=np.ma.masked_array(sample["image"].copy())) for sample in data]
    for sample in spoiled:
        sample["image"][:5] = 60_000
        sample["image"][:5] = np.ma.masked
    cut = [dict(sample, image=sample["image"][5:]) for sample in data]
    assert measure_bands([spoiled]) == measure_bands([cut])
    holes = [dict(sample, image=sample["image"].astype(np.float32)) for sample in data]
    for sample in holes:
        sample["image"][:5] = np.nan
    assert measure_bands([holes]).value_scaling == measure_bands([cut]).value_scaling


def test_a_range_goes_before_percentiles():
    once, each = measure_bands([samples()], value_range=[0, 2000]), [0, 1000, 0, 2000, 10, 3000]
    assert once.value_scaling.high == (2000.0,) * 3
    assert measure_bands([samples()], value_range=each).value_scaling.high == (1000.0, 2000.0, 3000.0)


def test_8_bits_need_no_scaling():
    pictures = [{"image": Image.fromarray(sample["image"])} for sample in samples(dtype=np.uint8, scale=60)]
    found = measure_bands([pictures])
    assert found.value_scaling is None and found.dtype == "uint8" and len(found.image_mean) == 3


def test_only_so_many_images_are_looked_at_and_each_dataset_counts_alike():
    assert measure_bands([samples(20), samples(4)], most_images=8).images == 8
    assert measure_bands([iter(samples(20))], most_images=8).images == 8


@pytest.mark.parametrize(
    ("datasets", "options", "message"),
    [
        ([[]], {}, "there are no images to measure"),
        ([samples(), samples(1, bands=4)], {}, "image '0' has 4 bands of uint16, others have 3 of uint16"),
        ([samples(), samples(1, dtype=np.int32)], {}, "3 bands of int32, others have 3 of uint16"),
        ([samples()], {"value_range": [0, 1, 2, 3]}, "4 numbers for 3 bands"),
        ([samples()], {"value_range": [5, 5]}, "low below high"),
        ([[{"image": np.full((8, 8, 2), 7, np.uint16)}]], {}, "band 1 of the images holds a single value"),
        ([[{"image": np.full((8, 8, 2), np.nan)}]], {}, "none of the 1 images that were looked at holds any data"),
    ],
)
def test_what_cannot_be_measured(datasets, options, message):
    with pytest.raises(ValueError, match=message):
        measure_bands(datasets, **options)


def test_inspect_prints_what_a_training_would_measure(tmp_path):
    pytest.importorskip("rasterio", reason="bands need rasterio (the extra geo)")
    folder = write_dataset(tmp_path, train=3, val=1)
    words = [
        "inspect",
        "s5-image-mask",
        "--data-dir",
        str(folder),
        "--option",
        'classes=["a", "b", "c"]',
        "--statistics",
    ]
    result = CliRunner().invoke(app, [*words, "--statistics"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    options = {"classes": ["a", "b", "c"]}
    measured = measure_bands([decoded_images(open_folder("s5-image-mask", folder, options=options), "train")])
    assert "bands of 3 images of train, uint16" in result.output
    for band in range(4):
        assert f"{measured.image_mean[band]:.6f}" in result.output
