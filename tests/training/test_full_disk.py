"""A full disk is named as such, with the path and the bytes, and leaves nothing half-written."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from s5_hf.conversion import convert_checkpoint, export_official
from s5_hf.files.disk_space import free_bytes, full_disk_in_words, means_no_room, tensor_bytes
from s5_hf.training.errors import CheckpointError
from tests.training.pretraining import pretrain
from tests.training.test_pretrain_mae import run as pretrain_mae

FULL = r"the disk is full, or a quota .* About [\d,]+ bytes are needed, [\d,]+ are free there"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may become larger, as on a full disk."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1_000, 50_000])
def test_a_full_disk_is_named_in_both_directions_of_convert(tmp_path, dense_model, size):
    dense_model.save_pretrained(tmp_path / "model")
    export_official(tmp_path / "model", tmp_path / "good.pth")
    heads = {"num_attention_heads": 4, "task": "fields", "labels": ["soil", "crop", "water"]}
    left = sorted(path.name for path in tmp_path.iterdir())
    with largest_file(size):
        with pytest.raises(OSError, match=rf"official\.pth could not be written: {FULL}") as caught:
            export_official(tmp_path / "model", tmp_path / "official.pth")
        assert "inline_container" not in str(caught.value)
        with pytest.raises(OSError, match=rf"again could not be written: {FULL}"):
            convert_checkpoint(tmp_path / "good.pth", tmp_path / "again", **heads)
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@pytest.mark.parametrize("size", [5_000, 50_000])
def test_a_full_disk_is_named_in_checkpoints(tmp_path, size):
    with (
        largest_file(size),
        pytest.raises(CheckpointError, match=rf"step 1 could not be written to .*{FULL}") as caught,
    ):
        pretrain(tmp_path, "--total_steps", "2", "--checkpoint_steps", "1", "--validation_steps", "0")
    assert "inline_container" not in str(caught.value)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_full_disk_keeps_the_former_checkpoint_of_mae(tmp_path):
    options = ("--total_steps", "3", "--checkpoint_steps", "1")
    pretrain_mae(tmp_path, *options)
    shutil.rmtree(tmp_path / "encoder")
    checkpoints = tmp_path / "checkpoints"
    before = {path: path.read_bytes() for path in checkpoints.rglob("*") if path.is_file()}
    with largest_file(20_000), pytest.raises(CheckpointError, match=rf"step 1 could not be written to .*{FULL}"):
        pretrain_mae(tmp_path / "other", *options)
    assert list((tmp_path / "other" / "checkpoints").iterdir()) == []
    assert {path: path.read_bytes() for path in checkpoints.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device")]), True),
        (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"), True),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed"), False),
        (ValueError("something else"), False),
    ],
)
def test_only_a_full_disk_is_called_one(tmp_path, error, full):
    assert means_no_room(error) == full
    expected = pytest.raises(OSError if full else type(error), match="disk is full" if full else None)
    with expected as caught, full_disk_in_words(tmp_path / "not" / "yet", 1_234_567):
        raise error
    assert ("1,234,567 bytes" in str(caught.value)) == full


def test_bytes_are_counted(tmp_path):
    assert tensor_bytes({"a": [torch.zeros(3), (torch.zeros(2, dtype=torch.uint8),)], "b": 7}) == 14
    assert free_bytes(tmp_path / "not" / "yet") > 0
