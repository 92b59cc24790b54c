"""Cutting in parallel, going on after a stop, and leaving nothing half-written."""

import hashlib
import os
import sys
from dataclasses import dataclass

import pytest

from s5_hf.files.locks import folder_lock
from s5_hf.preparation import prepare
from s5_hf.preparation.manifest import CutTile, RawTile
from s5_hf.preparation.runner import FoundTiles, cut_tiles
from tests.preparation.tiles import potsdam_tile

NAMES = ("2_13", "2_14", "3_13")


@pytest.fixture
def raw(tmp_path):
    for name in NAMES:
        potsdam_tile(tmp_path / "raw", name)
    return tmp_path / "raw"


def digests(out):
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.png")
    }


def hidden_files(out):
    return [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_workers_write_what_one_process_writes(tmp_path, raw):
    alone = prepare("s5-potsdam", raw, tmp_path / "alone", workers=1)
    parallel = prepare("s5-potsdam", raw, tmp_path / "parallel", workers=2)
    assert alone == parallel
    assert alone.splits[0].crops == 12
    assert digests(tmp_path / "alone") == digests(tmp_path / "parallel")
    assert len(digests(tmp_path / "alone")) == 24


def test_finished_tiles_are_not_cut_again(tmp_path, raw):
    out = tmp_path / "out"
    first = prepare("s5-potsdam", raw, out, workers=1)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    (out / "val/images/2_14_0_0_512_512.png").unlink()
    second = prepare("s5-potsdam", raw, out, workers=1)
    assert (first.skipped, second.skipped) == (0, 2)
    assert first.splits == second.splits
    again = {path.name.rsplit("_", 4)[0] for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert again == {"2_14"}


def test_a_changed_tile_is_cut_again_without_leaving_old_crops(tmp_path, raw):
    out = tmp_path / "out"
    prepare("s5-potsdam", raw, out, workers=1)
    potsdam_tile(raw, "3_13", width=512, height=512)
    os.utime(raw / "2_Ortho_RGB/top_potsdam_3_13_RGB.tif", ns=(1, 1))
    assert prepare("s5-potsdam", raw, out, workers=1).skipped == 2
    assert [path.name for path in (out / "val/images").glob("3_13*")] == ["3_13_0_0_512_512.png"]


def test_other_settings_in_one_folder_are_refused(tmp_path, raw):
    prepare("s5-potsdam", raw, tmp_path / "out", workers=1)
    with pytest.raises(ValueError, match="color_tolerance was 0, is now 4"):
        prepare("s5-potsdam", raw, tmp_path / "out", workers=1, color_tolerance=4)


@dataclass(frozen=True)
class StubbornCutter:
    """Writes one file per tile, and stops as Ctrl-C does at the tile named in `interrupted_at`."""

    interrupted_at: str = ""

    def settings(self):
        return {}

    def find_tiles(self, raw):
        return FoundTiles(())

    def cut(self, tile, folder):
        (folder / f"{tile.name}.txt").write_text(tile.name, encoding="utf-8")
        if tile.name == self.interrupted_at:
            raise KeyboardInterrupt
        return CutTile(files=(f"{tile.name}.txt",), crops=1)


def test_an_interrupt_keeps_the_finished_tiles_and_nothing_else(tmp_path):
    source = tmp_path / "source.png"
    source.write_bytes(b"")
    tiles = [RawTile(name, "train", source) for name in "abc"]
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        cut_tiles(StubbornCutter("b"), tiles, out, workers=1)
    assert [path.name for path in out.glob("*.txt")] == ["a.txt"]
    assert hidden_files(out) == []
    finished, failures, skipped = cut_tiles(StubbornCutter(), tiles, out, workers=1)
    assert (len(finished), failures, skipped) == (3, [], 1)
    assert sorted(path.name for path in out.glob("*.txt")) == ["a.txt", "b.txt", "c.txt"]
    assert hidden_files(out) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_planted_link_is_not_followed(tmp_path, raw):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("kept", encoding="utf-8")
    (out / ".partial").symlink_to(elsewhere)
    prepare("s5-potsdam", raw, out, workers=1)
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert digests(out)


def test_two_preparations_of_one_folder_do_not_mix(tmp_path, raw):
    with folder_lock(tmp_path / "out"), pytest.raises(BlockingIOError, match="out is in use by another run"):
        prepare("s5-potsdam", raw, tmp_path / "out", workers=1)
    prepare("s5-potsdam", raw, tmp_path / "out", workers=1)
    assert hidden_files(tmp_path / "out") == []
