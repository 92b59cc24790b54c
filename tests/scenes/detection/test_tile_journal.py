"""The journal of an unfinished scene."""

import sys

import pytest
import torch

from s5_hf.scenes.detection.tile_journal import TileJournal

FOUND = {"boxes": torch.ones(1, 5, dtype=torch.float64), "scores": torch.ones(1), "labels": torch.zeros(1).long()}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_journal_is_not_written_through_a_planted_link(tmp_path):
    precious, path = tmp_path / "precious", tmp_path / ".scene.json.partial"
    precious.write_text("kept", encoding="utf-8")
    path.symlink_to(precious)
    journal = TileJournal(path, "fingerprint", resume=False)
    journal.add(1, {0: FOUND})
    journal.close()
    assert precious.read_text(encoding="utf-8") == "kept"
    again = TileJournal(path, "fingerprint", resume=True)
    assert again.done == 1 and not path.is_symlink()
    again.add(2, {1: FOUND})
    again.close()
    assert TileJournal(path, "fingerprint", resume=True).done == 2
