"""Any raster becomes 8-bit RGB: plain files with Pillow alone, the rest with rasterio."""

import sys

import numpy as np
import pytest
from PIL import Image

from s5_hf.imaging.rasters import Scaling, open_raster, pad_to
from s5_hf.imaging.windows import Window

ALL = Window(0, 0, 10_000, 10_000)


def read(path, **options):
    with open_raster(path, **options) as raster:
        return raster.read(ALL)


def write_geotiff(path, pixels, **options):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(0.05, 0, 500_000, 0, -0.05, 5_800_000)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=pixels.shape[0],
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        crs="EPSG:32633",
        transform=transform,
        **options,
    ) as dataset:
        dataset.write(pixels)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_plain_images_need_no_rasterio(tmp_path, monkeypatch, suffix, mode):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / f"tile.{suffix}")
    assert (read(tmp_path / f"tile.{suffix}") == np.asarray(image.convert("RGB"))).all()


def test_windows_end_at_the_border(tmp_path):
    pixels = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    Image.fromarray(pixels).save(tmp_path / "tile.png")
    with open_raster(tmp_path / "tile.png") as raster:
        assert (raster.width, raster.height) == (9, 6)
        assert (raster.read(Window(2, 1, 5, 4)) == pixels[1:4, 2:5]).all()
        assert (raster.read(Window(4, 2, 20, 20)) == pixels[2:, 4:]).all()


def test_16_bit_without_rasterio_says_what_to_install(tmp_path, monkeypatch):
    Image.fromarray(np.full((4, 4), 3000, dtype=np.uint16)).save(tmp_path / "tile.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r'tile\.tif.*pip install "s5_hf\[geo\]"'):
        read(tmp_path / "tile.tif")


def test_percentiles_scale_each_band_of_the_whole_image(tmp_path):
    ramp = np.arange(1001, dtype=np.uint16).reshape(1, 7, 143)
    path = write_geotiff(tmp_path / "tile.tif", np.concatenate([ramp, ramp * 10, np.full_like(ramp, 7)]))
    scaled = read(path, scaling=Scaling(percentiles=(10, 90)))
    expected = np.rint(np.clip((ramp[0].astype(float) - 100) / 800.0, 0, 1) * 255)
    assert (scaled[..., 0] == expected).all()
    assert (scaled[..., 1] == expected).all()
    assert (scaled[..., 2] == 0).all()


def test_windows_of_a_scaled_image_fit_together(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4000, (3, 20, 30)).astype(np.uint16)
    path = write_geotiff(tmp_path / "tile.tif", pixels)
    whole = read(path)
    with open_raster(path) as raster:
        assert (raster.read(Window(5, 3, 17, 11)) == whole[3:11, 5:17]).all()


def test_a_fixed_range_and_chosen_bands(tmp_path):
    pixels = np.stack([np.full((4, 5), value, dtype=np.uint16) for value in (0, 1000, 2000, 5000)])
    path = write_geotiff(tmp_path / "tile.tif", pixels)
    scaled = read(path, scaling=Scaling(values=(1000, 3000)), bands=(4, 3, 1))
    assert scaled.tolist() == np.broadcast_to([255, 128, 0], (4, 5, 3)).tolist()


def test_values_without_data_stay_out_of_the_percentiles(tmp_path):
    pixels = np.linspace(0.0, 1.0, 101, dtype=np.float32).reshape(1, 1, 101)
    pixels = np.concatenate([pixels, np.full_like(pixels, -9999.0), np.full_like(pixels, np.nan)], axis=1)
    path = write_geotiff(tmp_path / "tile.tif", pixels, nodata=-9999.0)
    scaled = read(path, scaling=Scaling(percentiles=(0, 100)))
    assert (scaled[0, :, 0] == np.rint(np.linspace(0, 1, 101, dtype=np.float32).astype(float) * 255)).all()
    assert (scaled[1:] == 0).all()


def test_four_8_bit_bands_are_taken_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 9)).astype(np.uint8)
    path = write_geotiff(tmp_path / "tile.tif", pixels)
    assert (read(path) == pixels[:3].transpose(1, 2, 0)).all()
    assert (read(path, bands=(4, 1, 2)) == pixels[[3, 0, 1]].transpose(1, 2, 0)).all()
    for bands, named in (((1, 2, 5), "1, 2, 5"), ((1, 2), "1, 2$"), ((1, 2, 3, 4), "1, 2, 3, 4")):
        with pytest.raises(ValueError, match=f"has bands 1 to 4, three are needed, asked for {named}"):
            read(path, bands=bands)


def test_16_bit_png_is_not_cut_to_its_high_byte(tmp_path):
    pytest.importorskip("rasterio")
    values = np.array([[0, 100, 200]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "tile.png")
    assert read(tmp_path / "tile.png", scaling=Scaling(percentiles=(0, 100)))[0, :, 0].tolist() == [0, 128, 255]


def test_images_beyond_the_limit_of_pillow_are_read(tmp_path, monkeypatch):
    pixels = np.full((60, 90, 3), 7, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "tile.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert (read(tmp_path / "tile.png") == pixels).all()
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_window_beyond_the_image_is_empty(tmp_path):
    Image.fromarray(np.zeros((6, 9, 3), dtype=np.uint8)).save(tmp_path / "tile.png")
    geotiff = write_geotiff(tmp_path / "tile.tif", np.zeros((4, 6, 9), dtype=np.uint16))
    for path in (tmp_path / "tile.png", geotiff):
        with open_raster(path) as raster:
            assert raster.read(Window(2, 10, 5, 20)).shape == (0, 3, 3)
            assert raster.read(Window(10, 2, 20, 5)).shape == (3, 0, 3)


@pytest.mark.parametrize("content", [b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_image_names_the_file(tmp_path, content):
    pytest.importorskip("rasterio")
    (tmp_path / "tile.png").write_bytes(content)
    with pytest.raises(OSError, match=r"tile\.png cannot be read as an image"):
        read(tmp_path / "tile.png")


def test_a_cut_off_image_names_the_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "tile.png")
    content = (tmp_path / "tile.png").read_bytes()
    (tmp_path / "tile.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"tile\.png cannot be read as an image"):
        read(tmp_path / "tile.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"percentiles": (98, 2)}, "got 98 and 2"), ({"percentiles": (-1, 50)}, "-1"), ({"values": (5, 5)}, "5 and 5")],
)
def test_impossible_scalings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Scaling(**options)


def test_padding_fills_right_and_below():
    padded = pad_to(np.ones((2, 3, 3), dtype=np.uint8), 4, 3, (7, 8, 9))
    assert padded.shape == (3, 4, 3)
    assert (padded[:2, :3] == 1).all()
    assert (padded[2] == (7, 8, 9)).all()
    assert (padded[:, 3] == (7, 8, 9)).all()
