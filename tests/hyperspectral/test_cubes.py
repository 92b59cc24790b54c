"""Reading cubes: formats, orders of axes, bands, wavelengths, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s5_hf.hyperspectral import ArrayCube, ValueStretch, open_cube
from s5_hf.hyperspectral.augmentation import CubeAugmentation
from s5_hf.hyperspectral.color_synthesis import color_weights
from s5_hf.imaging.windows import Window, even_windows

HEIGHT, WIDTH, BANDS = 6, 5, 7
VALUES = np.arange(HEIGHT * WIDTH * BANDS, dtype=np.float32).reshape(HEIGHT, WIDTH, BANDS)
WHOLE = Window(0, 0, WIDTH, HEIGHT)
CENTRES = np.linspace(430.0, 850.0, BANDS)


def assert_read(cube, bands=range(1, BANDS + 1)):
    values, valid = cube.read(Window(1, 2, 4, 6))
    expected = VALUES[2:6, 1:4][..., [band - 1 for band in bands]].transpose(2, 0, 1)
    np.testing.assert_array_equal(values, expected)
    assert values.dtype == np.float32 and valid.all() and valid.shape == (4, 3)
    assert (cube.height, cube.width, cube.bands) == (HEIGHT, WIDTH, list(bands))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes_and_bands_of_an_array(axis):
    stored = np.moveaxis(VALUES, 2, axis)
    assert_read(ArrayCube(stored, band_axis=axis))
    assert_read(ArrayCube(stored, band_axis=axis, bands=[2, 3, 5, 7]), [2, 3, 5, 7])


def test_pixels_without_data():
    values = VALUES.copy()
    values[0, 0] = np.nan
    values[1, 1] = -1
    values[2, 2, 0] = -1  # one band alone may have this value
    read, valid = ArrayCube(values, nodata=-1).read(WHOLE)
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]
    assert (read[:, ~valid] == 0).all()


def test_matlab_file(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "cube.mat", {"pavia": VALUES, "pavia_gt": VALUES[..., 0]})
    with open_cube(tmp_path / "cube.mat", bands=[1, 2, 3, 4], wavelengths=CENTRES) as cube:
        assert_read(cube, [1, 2, 3, 4])
        np.testing.assert_allclose(cube.wavelengths, CENTRES[:4])
    savemat(tmp_path / "two.mat", {"a": VALUES, "b": VALUES})
    with pytest.raises(ValueError, match=r"found a, b; name one"), open_cube(tmp_path / "two.mat"):
        pass
    with open_cube(tmp_path / "two.mat", variable="b") as cube:
        assert_read(cube)
    unknown = pytest.raises(ValueError, match=r"no cube called 'c'; its cubes: a, b")
    with unknown, open_cube(tmp_path / "two.mat", variable="c"):
        pass


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_hdf_file(tmp_path, order):
    h5py = pytest.importorskip("h5py", reason='needs: pip install "s5_hf[hyperspectral]"')
    with h5py.File(tmp_path / "cube.nc", "w") as file:
        file["radiance"] = VALUES.transpose(order)
        file["sensor/wavelength"] = CENTRES / 1000
        file["sensor/wavelength"].attrs["units"] = "um"
    with open_cube(tmp_path / "cube.nc") as cube:
        assert_read(cube)
        np.testing.assert_allclose(cube.wavelengths, CENTRES)


def test_newer_matlab_file(tmp_path):
    h5py = pytest.importorskip("h5py", reason='needs: pip install "s5_hf[hyperspectral]"')
    with h5py.File(tmp_path / "cube.mat", "w", userblock_size=512) as file:
        file["pavia"] = VALUES.T  # MATLAB counts its first axis fastest
    with open_cube(tmp_path / "cube.mat") as cube:
        assert_read(cube)


def test_envi_file(tmp_path):
    pytest.importorskip("rasterio", reason='needs: pip install "s5_hf[geo]"')
    header = ["ENVI", f"samples = {WIDTH}", f"lines = {HEIGHT}", f"bands = {BANDS}", "header offset = 0"]
    header += ["file type = ENVI Standard", "data type = 4", "interleave = bip", "byte order = 0"]
    header += ["wavelength units = Micrometers", f"wavelength = {{{', '.join(map(str, CENTRES / 1000))}}}"]
    (tmp_path / "cube.hdr").write_text("\n".join(header), encoding="utf-8")
    VALUES.tofile(tmp_path / "cube.img")
    for name in ("cube.hdr", "cube.img"):
        with open_cube(tmp_path / name) as cube:
            assert_read(cube)
            np.testing.assert_allclose(cube.wavelengths, CENTRES, rtol=1e-5)
    (tmp_path / "cube.img").unlink()
    missing = pytest.raises(FileNotFoundError, match=r"no file with the values of .*cube.hdr")
    with missing, open_cube(tmp_path / "cube.hdr"):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": [0, 1, 2, 3]}, "no band 0"),
        ({"bands": [1, 2, 3, 8]}, "has 7 bands, there is no band 8"),
        ({"bands": [1, 2]}, "expected 4 bands or more"),
        ({"wavelengths": [500.0] * 3}, "expected as many positive wavelengths, got 3"),
        ({"wavelengths": [500.0] * 6 + [np.nan]}, "positive wavelengths"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ArrayCube(VALUES, **options)


@pytest.mark.parametrize("values", [VALUES[0], VALUES.astype(complex), np.full((4, 4, 4), "a")])
def test_what_is_not_a_cube_is_refused(values):
    with pytest.raises(ValueError, match="expected real numbers with three axes"):
        ArrayCube(values)


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 100), st.integers(5, 100))
def test_windows_share_a_cube_out(height, width, side):
    covered = np.zeros((height, width), dtype=int)
    windows = even_windows(width, height, side)
    for window in windows:
        assert 0 < window.width <= side and 0 < window.height <= side
        covered[window.top : window.bottom, window.left : window.right] += 1
    assert (covered == 1).all()
    assert len(windows) == -(-height // side) * -(-width // side)


@given(st.integers(0, 3), st.booleans(), st.integers(1, 6), st.integers(1, 6))
def test_augmentation_is_undone(turns, mirrored, height, width):
    import torch

    cube = torch.arange(2.0 * height * width).view(1, 2, height, width)
    augmentation = CubeAugmentation(turns, mirrored, 0.0, 0)
    assert torch.equal(augmentation.restore(augmentation(cube)), cube)


def test_drawn_augmentations_differ_and_repeat():
    drawn = [CubeAugmentation.draw(seed, 0.1) for seed in range(64)]
    assert {(one.quarter_turns, one.mirrored) for one in drawn} == {
        (turn, m) for turn in range(4) for m in (False, True)
    }
    assert drawn == [CubeAugmentation.draw(seed, 0.1) for seed in range(64)]


def test_linear_synthesis_interpolates():
    weights = color_weights([700.0, 600.0, 500.0, 400.0], "linear")
    np.testing.assert_allclose(weights @ np.array([700.0, 600.0, 500.0, 400.0]), [640.0, 550.0, 460.0])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    with pytest.raises(ValueError, match=r"lie between 500 and 900 nm and do not cover 460"):
        color_weights([500.0, 700.0, 900.0], "linear")


def test_eyes_see_a_single_wavelength_in_its_colour():
    centres = np.arange(400.0, 701.0, 10.0)
    weights = color_weights(centres, "cie")
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    for wavelength, color in ((450.0, 2), (530.0, 1), (620.0, 0)):
        assert weights[:, centres == wavelength].argmax() == color
    with pytest.raises(ValueError, match="no band lies in visible light"):
        color_weights([900.0, 1000.0, 1100.0, 1200.0], "cie")
    with pytest.raises(ValueError, match="unknown colour synthesis 'rgb'"):
        color_weights(centres, "rgb")


def test_a_stretch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no pixel holds data"):
        ValueStretch.between_quantiles([], 0.01, 0)
    with pytest.raises(ValueError, match="all 3"):
        ValueStretch.between_quantiles([np.full(4, 3.0)], 0.01, 4)
