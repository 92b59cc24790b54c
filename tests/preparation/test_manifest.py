"""The record of finished tiles: what is skipped, what is cut again, what is refused."""

import os
import sys

import pytest

from s5_hf.preparation.manifest import MANIFEST_NAME, CutTile, Manifest, RawTile

SETTINGS = {"dataset": "s5-potsdam", "strides": {"train": 256}, "bands": (1, 2, 3)}
CUT = CutTile(files=("ann_dir/a.png", "img_dir/a.png"), crops=1)
PRESENT = frozenset(CUT.files)


@pytest.fixture
def tile(tmp_path):
    for name in ("a.tif", "a_label.tif"):
        (tmp_path / name).write_bytes(b"12345")
    return RawTile("a", "train", tmp_path / "a.tif", tmp_path / "a_label.tif")


def reopened(folder):
    return Manifest(folder, SETTINGS)


def test_a_finished_tile_is_remembered(tmp_path, tile):
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    assert reopened(tmp_path).finished(tile, PRESENT) == CUT
    assert reopened(tmp_path).finished(RawTile("b", "train", tile.image), PRESENT) is None
    assert reopened(tmp_path).earlier_files(tile) == CUT.files


def test_a_tile_is_not_finished_when_a_file_of_it_is_gone(tmp_path, tile):
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    assert reopened(tmp_path).finished(tile, PRESENT - {"img_dir/a.png"}) is None


@pytest.mark.parametrize("name", ["a.tif", "a_label.tif"])
def test_a_tile_is_not_finished_when_a_source_changed(tmp_path, tile, name):
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    os.utime(tmp_path / name, ns=(1, 1))
    assert reopened(tmp_path).finished(tile, PRESENT) is None
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    (tmp_path / name).write_bytes(b"123456")
    os.utime(tmp_path / name, ns=(1, 1))
    assert reopened(tmp_path).finished(tile, PRESENT) is None


def test_other_settings_are_refused_and_named(tmp_path, tile):
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    with pytest.raises(ValueError, match=r"strides was \{'train': 256\}, is now \{'train': 512\}") as caught:
        Manifest(tmp_path, {**SETTINGS, "strides": {"train": 512}})
    assert "bands" not in str(caught.value)


@pytest.mark.parametrize("kept_bytes", [3, 10])
def test_a_half_written_line_is_no_finished_tile(tmp_path, tile, kept_bytes):
    other = RawTile("b", "train", tile.image)
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    path = tmp_path / MANIFEST_NAME
    before = path.stat().st_size
    reopened(tmp_path).add(other, other.sources(), CUT)
    os.truncate(path, before + kept_bytes)
    manifest = reopened(tmp_path)
    assert manifest.finished(tile, PRESENT) == CUT
    assert manifest.finished(other, PRESENT) is None
    manifest.add(other, other.sources(), CUT)
    assert reopened(tmp_path).finished(other, PRESENT) == CUT


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_mending_the_manifest_follows_no_planted_link(tmp_path, tile):
    precious = tmp_path / "precious"
    precious.write_text("kept", encoding="utf-8")
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    path = tmp_path / MANIFEST_NAME
    path.with_suffix(".partial").symlink_to(precious)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"tile": "half')
    assert reopened(tmp_path).finished(tile, PRESENT) == CUT
    assert precious.read_text(encoding="utf-8") == "kept" and not path.is_symlink()


def test_a_half_written_head_begins_anew(tmp_path, tile):
    (tmp_path / MANIFEST_NAME).write_text('{"format": 1, "sett', encoding="utf-8")
    manifest = reopened(tmp_path)
    assert manifest.finished(tile, PRESENT) is None
    manifest.add(tile, tile.sources(), CUT)
    assert reopened(tmp_path).finished(tile, PRESENT) == CUT


def test_a_foreign_file_is_refused_with_its_line(tmp_path, tile):
    reopened(tmp_path).add(tile, tile.sources(), CUT)
    with (tmp_path / MANIFEST_NAME).open("a", encoding="utf-8") as file:
        file.write("hello\n")
    with pytest.raises(ValueError, match=r"preparation\.jsonl, line 3"):
        reopened(tmp_path)
