"""Nothing half-written under a final name."""

import os
import stat
import sys

import pytest

from s5_hf.files.atomic import atomic_file, atomic_folder, write_text

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="modes, links and pipes of POSIX")


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


@pytest.fixture
def umask():
    """Set the umask; the former one comes back with the end of the test."""
    former = os.umask(0o022)
    yield os.umask
    os.umask(former)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@needs_posix
@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_new_files_and_folders_follow_the_umask(tmp_path, umask, mask, file_mode, folder_mode):
    umask(mask)
    with atomic_file(tmp_path / "report.txt") as temporary:
        temporary.write_text("new")
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("new")
    assert mode_of(tmp_path / "report.txt") == file_mode
    assert mode_of(tmp_path / "model") == folder_mode


@needs_posix
def test_a_replaced_file_keeps_its_mode_and_is_never_more_open(tmp_path, umask):
    target = tmp_path / "private.txt"
    target.write_text("old")
    target.chmod(0o600)
    with atomic_file(target) as temporary:
        assert mode_of(temporary) == 0o600
        temporary.unlink()
        temporary.write_text("new")  # as libraries do that write beside and rename
    assert (target.read_text(), mode_of(target)) == ("new", 0o600)


@pytest.mark.parametrize("name", ["a" * 255, "ä" * 127, "森" * 85])
def test_names_as_long_as_the_file_system_allows(tmp_path, name):
    with atomic_file(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).unlink()
    with atomic_folder(tmp_path / name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_temporary_names_cannot_be_foreseen(tmp_path):
    with atomic_file(tmp_path / "a") as first, atomic_file(tmp_path / "a") as second:
        assert first != second
        assert len(first.name) >= len(".a.partial") + 16


@needs_posix
def test_a_link_as_output_is_kept_and_its_target_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    for existing in (True, False):
        target, link = tmp_path / "store" / f"{existing}.txt", tmp_path / f"{existing}.txt"
        if existing:
            target.write_text("old")
        link.symlink_to(target)
        with atomic_file(link) as temporary:
            assert temporary.parent == target.parent  # so that renaming stays inside one file system
            temporary.write_text("new")
        assert link.is_symlink()
        assert target.read_text() == "new" and not target.is_symlink()
    link = tmp_path / "model"
    link.symlink_to(tmp_path / "store" / "model")
    with atomic_folder(link) as temporary:
        (temporary / "weights").write_text("new")
    assert link.is_symlink() and (tmp_path / "store" / "model" / "weights").read_text() == "new"


@needs_posix
def test_outputs_that_are_no_files_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    for name, reason in (("folder", "a folder"), ("pipe", "not a regular file"), ("one", "point at each other")):
        with pytest.raises(OSError, match=f"{reason}.*{name}"), atomic_file(tmp_path / name):
            pytest.fail("the block must not run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one", "pipe", "two"]


def test_text_is_written_in_utf_8_and_nothing_else_stays(tmp_path):
    write_text(tmp_path / "notes" / "été.txt", "été\nhiver\n")
    assert (tmp_path / "notes" / "été.txt").read_bytes() == "été\nhiver\n".encode()
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["été.txt"]
