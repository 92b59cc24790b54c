"""Scenes as rows of bytes, from all kinds of files."""

import importlib.util

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from s5_hf.imaging import scene_stem
from s5_hf.imaging.rasters import Scaling
from s5_hf.scenes.reading import SceneReading
from s5_hf.scenes.source import open_scene
from tests.scenes.conftest import smooth_image


def read(path, num_channels=3, **reading):
    with open_scene(path, num_channels, SceneReading(**reading)) as scene:
        return scene.read_rows(0, scene.height)


def planes(image):
    return image.transpose(2, 0, 1)


@pytest.fixture
def without_rasterio(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", ["scene.png", "scene.tif"])
def test_plain_images_need_pillow_alone(tmp_path, without_rasterio, name):
    image = smooth_image(20, 30)
    Image.fromarray(image).save(tmp_path / name)
    with open_scene(tmp_path / name) as scene:
        pixels, valid = scene.read_rows(5, 9)
        assert (scene.width, scene.height, scene.crs, scene.transform) == (30, 20, None, None)
    assert valid is None
    assert np.array_equal(pixels, planes(image)[:, 5:9])


def test_grey_images_are_repeated_and_transparent_pixels_hold_no_data(tmp_path):
    grey = smooth_image(8, 9)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read(tmp_path / "grey.png")[0], np.stack([grey] * 3))
    colors = np.dstack([smooth_image(8, 9), np.full((8, 9), 255, np.uint8)])
    colors[2:4, 5:, 3] = 0
    Image.fromarray(colors).save(tmp_path / "transparent.png")
    pixels, valid = read(tmp_path / "transparent.png")
    assert np.array_equal(valid, colors[..., 3] > 0)
    assert (pixels[:, 2:4, 5:] == 0).all()
    assert np.array_equal(pixels[:, :2], planes(colors)[:3, :2])


def test_bands_nodata_and_ranges_work_without_rasterio(tmp_path, without_rasterio):
    image = smooth_image(8, 9)
    image[3, 4] = 7
    Image.fromarray(image).save(tmp_path / "scene.png")
    pixels, valid = read(tmp_path / "scene.png", bands=(3, 2, 1), nodata=7)
    assert np.argwhere(~valid).tolist() == [[3, 4]]
    assert np.array_equal(pixels[:, 0], planes(image)[::-1, 0])
    stretched, _ = read(tmp_path / "scene.png", scaling=Scaling(values=(0, 510)))
    assert np.abs(stretched.astype(int) * 2 - planes(image)).max() <= 1


def test_a_geotiff_without_rasterio_says_what_is_lost(tmp_path, write_geotiff, without_rasterio):
    path = write_geotiff("scene.tif", planes(smooth_image(20, 30)))
    with open_scene(path) as scene:
        assert len(scene.notes) == 1
        assert "has coordinates, which are lost: pip install" in scene.notes[0]


def test_sixteen_bits_without_rasterio_name_the_extra(tmp_path, without_rasterio):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ImportError, match=r"deep.png is not a plain 8-bit image file.*s5_hf\[geo\]"):
        read(tmp_path / "deep.png")


def test_a_geotiff_keeps_its_place(write_geotiff):
    image = smooth_image(40, 50)
    with open_scene(write_geotiff("scene.tif", planes(image))) as scene:
        assert scene.crs.to_epsg() == 32633
        assert scene.transform.c == 390000
        assert scene.notes == []
        assert np.array_equal(scene.read_rows(7, 30)[0], planes(image)[:, 7:30])


def test_a_virtual_raster_is_a_scene(tmp_path, write_geotiff):
    image = smooth_image(16, 24)
    write_geotiff("scene.tif", planes(image))
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">scene.tif'
        f"</SourceFilename><SourceBand>{4 - band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    (tmp_path / "scene.vrt").write_text(
        f'<VRTDataset rasterXSize="24" rasterYSize="16">{bands}</VRTDataset>', encoding="utf-8"
    )
    assert np.array_equal(read(tmp_path / "scene.vrt")[0], planes(image)[::-1])


def test_sixteen_bits_are_scaled_by_percentiles_of_the_data(write_geotiff):
    values = np.tile(np.arange(1000, 1400, dtype=np.uint16), (3, 40, 1))
    values[:, :, :100] = 0
    values[2] *= 2
    path = write_geotiff("deep.tif", values, nodata=0)
    pixels, valid = read(path, scaling=Scaling(percentiles=(0, 100)))
    assert valid[:, 100:].all()
    assert not valid[:, :100].any()
    expected = np.rint((np.arange(100, 400) - 100) / 299 * 255)
    assert np.array_equal(pixels[:, 5, 100:], np.tile(expected, (3, 1)))
    clipped, _ = read(path)
    assert (clipped[0, 0, 100:106] == 0).all()
    assert (clipped[0, 0, -5:] == 255).all()


def test_a_fixed_range_is_the_same_for_all(write_geotiff):
    values = np.full((3, 5, 5), -100, dtype=np.int16)
    values[:, 1] = 500
    values[:, 2] = 3000
    pixels, _ = read(write_geotiff("signed.tif", values), scaling=Scaling(values=(0, 1000)))
    assert pixels[0, :3, 0].tolist() == [0, 128, 255]


def test_floats_that_are_no_numbers_hold_no_data(write_geotiff):
    values = np.random.default_rng(0).random((3, 30, 30), dtype=np.float32)
    values[1, 4, 5] = np.nan
    values[:, 6, 7] = -9999
    pixels, valid = read(write_geotiff("float.tif", values, nodata=-9999), scaling=Scaling(percentiles=(0, 100)))
    assert sorted(map(tuple, np.argwhere(~valid).tolist())) == [(4, 5), (6, 7)]
    assert pixels.max() == 255
    assert (pixels[:, 6, 7] == 0).all()


def test_the_sample_of_a_big_scene_is_bounded(write_geotiff, monkeypatch):
    from s5_hf.scenes.rasterio_source import RasterioScene

    values = np.random.default_rng(1).integers(0, 5000, (3, 2200, 2100), dtype=np.uint16)
    read_pixels = []
    original = RasterioScene._read

    def counting(self, **options):
        values = original(self, **options)
        read_pixels.append(values[0].size)
        return values

    monkeypatch.setattr(RasterioScene, "_read", counting)
    with open_scene(
        write_geotiff("big.tif", values), reading=SceneReading(scaling=Scaling(percentiles=(10, 90)))
    ) as scene:
        assert sum(read_pixels) <= 64 * 256 * 256 + 1
        assert scene._scaling.low == pytest.approx([500] * 3, abs=10)
        assert scene._scaling.high == pytest.approx([4500] * 3, abs=10)


def test_colours_are_found_by_their_names(write_geotiff):
    from rasterio.enums import ColorInterp

    image = smooth_image(12, 12)
    array = np.concatenate([np.zeros((1, 12, 12), np.uint8), planes(image)[::-1]])
    path = write_geotiff("nir.tif", array, photometric="MINISBLACK")
    import rasterio

    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    with open_scene(path) as scene:
        assert scene.bands == [4, 3, 2]
        assert np.array_equal(scene.read_rows(0, 12)[0], planes(image))


def test_bands_that_do_not_fit_are_listed(write_geotiff):
    array = np.zeros((4, 6, 6), np.uint16)
    names = ("blue", "green", "red", "infrared")
    path = write_geotiff("four.tif", array, descriptions=names, photometric="MINISBLACK", alpha="NO")
    with pytest.raises(ValueError, match=r"3 channels.*four.tif.*1, 2, 3, 4.*1 \(gray, uint16, blue\).*--bands 1,2,3"):
        read(path)
    assert read(path, bands=(3, 2, 1))[0].shape == (3, 6, 6)
    with pytest.raises(ValueError, match=r"the bands 1, 2, 9 were chosen"):
        read(path, bands=(1, 2, 9))
    two = write_geotiff("two.tif", array[:2], photometric="MINISBLACK")
    with pytest.raises(ValueError, match=r"--bands 1,2,2"):
        read(two)


def test_a_single_band_serves_as_all_channels_and_says_so(write_geotiff):
    array = smooth_image(6, 7)[None, ..., 0]
    with open_scene(write_geotiff("grey.tif", array)) as scene:
        assert np.array_equal(scene.read_rows(0, 6)[0], np.repeat(array, 3, axis=0))
        assert "has a single band, which serves as all 3 channels" in scene.notes[0]


def test_numbers_of_a_colour_table_are_refused(write_geotiff):
    path = write_geotiff("palette.tif", np.zeros((1, 5, 5), np.uint8))
    import rasterio

    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (1, 2, 3, 255)})
    with pytest.raises(ValueError, match=r"colour table.*expand"):
        read(path)


def test_no_crs_is_said(write_geotiff):
    path = write_geotiff("nowhere.tif", planes(smooth_image(6, 7)), crs=None)
    with open_scene(path) as scene:
        assert (scene.crs, scene.transform) == (None, None)
        assert "has no CRS" in scene.notes[0]


@pytest.mark.parametrize("name", ["cut.tif", "cut.png", "cut.jpg"])
def test_files_that_are_cut_off_fail_when_opened(tmp_path, name):
    pytest.importorskip("rasterio", reason="GeoTIFF needs rasterio (the extra geo)")
    Image.fromarray(smooth_image(300, 300)).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=rf"{name} cannot be read"):
        read(tmp_path / name)


def test_what_is_no_scene_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing.tif is not a file"):
        read(tmp_path / "missing.tif")
    (tmp_path / "text.tif").write_text("no image", encoding="utf-8")
    with pytest.raises((OSError, ImportError), match=r"text.tif"):
        read(tmp_path / "text.tif")


def test_stems():
    assert scene_stem("/vsicurl/http://server/a/city.tif") == "city"
    assert scene_stem("https://server/a/city.tif?key=a/b.c") == "city"
    assert scene_stem("folder/city.v2.tif") == "city.v2"


def infrared_scene(write_geotiff, name="infrared.tif"):
    """Red, green, blue and infrared with a column of 0 in it, which GDAL takes for transparency."""
    image = np.concatenate([planes(smooth_image(40, 50)), np.full((1, 40, 50), 90, np.uint8)])
    image[3, :, :5] = 0
    path = write_geotiff(name, image, photometric="RGB", alpha="unspecified")
    import rasterio

    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [*dataset.colorinterp[:3], rasterio.enums.ColorInterp.alpha]
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3].name == "alpha"
    return image, path


@pytest.mark.parametrize("bands", [(4, 3, 2), (3, 2, 4), (4, 4, 4)])
def test_an_alpha_band_that_is_asked_for_as_data_is_no_mask(write_geotiff, bands):
    image, path = infrared_scene(write_geotiff)
    with open_scene(path, reading=SceneReading(bands=bands)) as scene:
        pixels, valid = scene.read_rows(0, 40)
        assert scene.notes == []
    assert valid is None
    assert np.array_equal(pixels, image[[band - 1 for band in bands]])


def test_an_alpha_band_that_is_not_asked_for_is_a_mask_and_says_so(write_geotiff):
    image, path = infrared_scene(write_geotiff)
    with open_scene(path) as scene:
        pixels, valid = scene.read_rows(0, 40)
        (note,) = scene.notes
    assert "marks band 4 as transparency (alpha): pixels with 0 in it hold no data" in note
    assert np.array_equal(valid, image[3] > 0) and not pixels[:, :, :5].any()
    with open_scene(path, reading=SceneReading(nodata=float("nan"))) as scene:
        pixels, valid = scene.read_rows(0, 40)
    assert valid is None and np.array_equal(pixels, image[:3])


def test_a_network_of_four_channels_takes_all_four_bands(write_geotiff, tmp_path):
    image, path = infrared_scene(write_geotiff)
    Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "infrared.png")
    for source in (path, tmp_path / "infrared.png"):
        with open_scene(source, num_channels=4) as scene:
            pixels, valid = scene.read_rows(0, 40)
        assert valid is None and np.array_equal(pixels, image)


def test_pictures_beyond_the_limit_of_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    Image.fromarray(smooth_image(60, 70)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda image: pytest.fail("decoded"))
    message = r"bomb.png has 70 x 60 = 4,200 pixels, more than 4,199; .*--maximum-pixels 4200"
    with (
        pytest.raises(ValueError, match=message),
        open_scene(tmp_path / "bomb.png", reading=SceneReading(maximum_pixels=4199)),
    ):
        pass
    monkeypatch.setattr("s5_hf.scenes.source.MAXIMUM_PIXELS", 4199)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "bomb.png")


def test_pictures_up_to_the_limit_of_pixels_are_read_whatever_the_limit_of_pillow(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    image = smooth_image(60, 70)
    Image.fromarray(image).save(tmp_path / "large.png")
    with open_scene(tmp_path / "large.png", reading=SceneReading(maximum_pixels=4200)) as scene:
        assert np.array_equal(scene.read_rows(0, 60)[0], planes(image))
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "complex_int16"])
def test_complex_numbers_are_refused_by_the_name_of_their_file(write_geotiff, dtype):
    values = np.ones((3, 20, 20), np.complex64 if dtype == "complex_int16" else dtype)
    path = write_geotiff("radar.tif", values)
    if dtype == "complex_int16":
        import rasterio

        with rasterio.open(path) as dataset:
            profile = {**dataset.profile, "dtype": dtype}
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(values)
    with pytest.raises(ValueError, match=r"radar.tif holds complex numbers \(complex"):
        read(path)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"])
def test_integers_and_floats_of_any_width_are_scaled(write_geotiff, dtype):
    ramp = np.linspace(0, 100, 40 * 50).reshape(1, 40, 50).astype(dtype)
    path = write_geotiff("ramp.tif", np.repeat(ramp, 3, axis=0))
    with open_scene(path, reading=SceneReading(scaling=Scaling(values=(0, 100)))) as scene:
        pixels, valid = scene.read_rows(0, 40)
    assert valid is None
    assert np.array_equal(pixels[0], np.rint(ramp[0].astype(np.float64) / 100 * 255).astype(np.uint8))
