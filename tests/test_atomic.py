"""Nothing half-written under a final name."""

import pytest

from s5_hf.atomic import atomic_file, atomic_folder


def test_a_finished_file_takes_its_name(tmp_path):
    target = tmp_path / "new" / "report.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [path.name for path in target.parent.iterdir()] == ["report.txt"]


def test_a_failed_file_leaves_the_old_one(tmp_path):
    target = tmp_path / "report.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("stopped")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_a_finished_folder_takes_its_name(tmp_path):
    target = tmp_path / "model"
    target.mkdir()  # an empty folder is no obstacle
    with atomic_folder(target) as temporary:
        (temporary / "weights").write_text("whole")
        assert not any(target.iterdir())
    assert (target / "weights").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_a_stopped_folder_leaves_nothing(tmp_path, stop):
    with pytest.raises(stop), atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("half")
        raise stop("stopped")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_refused_before_any_work(tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(FileExistsError, match="model exists already"), atomic_folder(tmp_path / "model"):
        pytest.fail("the block must not run")
