"""Cubes that were cut off or changed: refused with a message that names the file, never read as zeros."""

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from s5_hf.cli import app
from s5_hf.hyperspectral import ArrayCube, open_cube
from s5_hf.imaging.windows import Window

HEIGHT, WIDTH, BANDS, OFFSET = 6, 5, 7, 16
VALUES = np.linspace(0.1, 0.9, HEIGHT * WIDTH * BANDS, dtype=np.float32).reshape(HEIGHT, WIDTH, BANDS)
WHOLE = Window(0, 0, WIDTH, HEIGHT)


def write_envi(folder, interleave="bip", lines=HEIGHT, byte_order=0, more=""):
    pytest.importorskip("rasterio", reason='needs: pip install "s5_hf[geo]"')
    header = ["ENVI", f"samples = {WIDTH}", f"lines = {lines}", f"bands = {BANDS}", f"header offset = {OFFSET}"]
    header += ["data type = 4", f"interleave = {interleave}", f"byte order = {byte_order}", more]
    (folder / "cube.hdr").write_text("\n".join(header), encoding="utf-8")
    stored = VALUES.transpose({"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}[interleave])
    (folder / "cube.img").write_bytes(bytes(OFFSET) + stored.tobytes())
    return folder / "cube.hdr"


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def read(path):
    with open_cube(path) as cube:
        return cube.read(WHOLE)[0]


@pytest.mark.parametrize("interleave", ["bip", "bil", "bsq"])
def test_envi_that_ends_too_early(tmp_path, interleave):
    path = write_envi(tmp_path, interleave)
    np.testing.assert_array_equal(read(path), VALUES.transpose(2, 0, 1))
    cut(tmp_path / "cube.img", 0.99)
    with pytest.raises(OSError, match=r"cube\.img has 847 bytes, but its ENVI header promises 856"):
        read(path)
    with pytest.raises(OSError, match=r"promises 996: 5 samples, 7 lines and 7 bands of float32"):
        read(write_envi(tmp_path, interleave, lines=HEIGHT + 1))


def test_bytes_in_the_wrong_order(tmp_path):
    with pytest.raises(ValueError, match=r"cube\.hdr holds values up to .*Is the byte order in its header right"):
        read(write_envi(tmp_path, byte_order=1))
    values = VALUES.copy()
    values[0, 0] = -3.4e38
    with pytest.raises(ValueError, match=r"up to 3\.4e\+38.*pixels without data, name it"):
        ArrayCube(values).read(WHOLE)
    assert not ArrayCube(values, nodata=values[0, 0, 0]).read(WHOLE)[1][0, 0]


@pytest.mark.parametrize("listed", ["wavelength = {400, 500}", "wavelength = {red, green}"])
def test_wavelengths_that_are_not_one_for_each_band(tmp_path, listed):
    with open_cube(write_envi(tmp_path, more=listed)) as cube:
        assert cube.wavelengths is None
        assert any("does not list one wavelength for each of its bands" in note for note in cube.notes)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.95])
def test_matlab_that_ends_too_early(tmp_path, compressed, share):
    path = tmp_path / "cube.mat"
    savemat(path, {"scene": VALUES}, do_compression=compressed)
    cut(path, share)
    with pytest.raises(OSError, match=r"cube\.mat.* cannot be read"):
        read(path)


def test_changed_bytes_of_matlab(tmp_path):
    savemat(tmp_path / "cube.mat", {"scene": VALUES}, do_compression=True)
    content = bytearray((tmp_path / "cube.mat").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "cube.mat").write_bytes(content)
    with pytest.raises(OSError, match=r"cube\.mat.* cannot be read"):
        read(tmp_path / "cube.mat")


@pytest.mark.parametrize("suffix", ["h5", "nc"])
def test_hdf_that_ends_too_early_or_has_changed(tmp_path, suffix):
    h5py = pytest.importorskip("h5py", reason='needs: pip install "s5_hf[hyperspectral]"')
    path = tmp_path / f"cube.{suffix}"
    with h5py.File(path, "w") as file:
        file.create_dataset("radiance", data=VALUES, chunks=(3, 5, 7), compression="gzip")
        file["wavelength"] = np.full(BANDS, b"unknown")  # no numbers: as if there were none
        place = file["radiance"].id.get_chunk_info(0).byte_offset
    whole = path.read_bytes()
    np.testing.assert_array_equal(read(path), VALUES.transpose(2, 0, 1))
    path.write_bytes(whole[:place] + bytes(40) + whole[place + 40 :])
    with pytest.raises(OSError, match=rf"cube\.{suffix} cannot be read"):
        read(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OSError, match=rf"cube\.{suffix} cannot be read as an HDF5 file: .*truncated"):
        read(path)
    path.write_bytes(b"CDF\x01" + bytes(40))
    with pytest.raises(OSError, match=r"not an HDF5 or NetCDF 4 file, but an older NetCDF"):
        read(path)


def test_nothing_is_left_of_a_map_of_a_damaged_cube(tmp_path):
    path = write_envi(tmp_path)
    cut(tmp_path / "cube.img", 0.5)
    words = ["hyperspectral", str(path), str(tmp_path / "map.png"), "--first-labels", str(tmp_path / "first.png")]
    with pytest.raises(OSError, match=r"cube\.img has"):
        CliRunner().invoke(app, [*words, "--classes", "soil", "water"], catch_exceptions=False)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["cube.hdr", "cube.img"]
