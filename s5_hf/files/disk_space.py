"""A full disk, in words: torch and safetensors each have their own, which name neither the path nor the disk."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

# What a failed write raises: Python itself, torch's writer, the writer of safetensors.
WRITE_ERRORS = (OSError, RuntimeError, SafetensorError)
NO_ROOM = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)
)  # full, over the quota, above the largest file size
NO_ROOM_IN_WORDS = (
    "inline_container",
    "PytorchStreamWriter",
    "File write failed",
    *(f"os error {number}" for number in sorted(NO_ROOM)),
    *(f"[Errno {number}]" for number in sorted(NO_ROOM)),  # as shutil quotes them
)


@contextmanager
def full_disk_in_words(path: Path, needed: int) -> Iterator[None]:
    """Turn what a full disk raises inside the block into an OSError that names the path and the bytes.

    Args:
        path: what the block writes.
        needed: bytes that it takes, about.

    Raises:
        OSError: if there is no room. Other errors of the block pass.
    """
    try:
        yield
    except WRITE_ERRORS as error:
        if not means_no_room(error):
            raise
        raise OSError(
            f"{path} could not be written: the disk is full, or a quota or a limit on file sizes is reached. "
            f"About {needed:,} bytes are needed, {free_bytes(path):,} are free there"
        ) from error


def means_no_room(error: BaseException) -> bool:
    """Whether an error of a writer says that the disk is full."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return True
    return isinstance(error, WRITE_ERRORS) and any(words in str(error) for words in NO_ROOM_IN_WORDS)


def free_bytes(path: Path) -> int:
    """Free bytes on the disk of `path`, which need not exist."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free


def tensor_bytes(content: Any) -> int:
    """Bytes of all tensors in nested dictionaries, lists and tuples."""
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    if isinstance(content, dict):
        return sum(tensor_bytes(value) for value in content.values())
    if isinstance(content, (list, tuple)):
        return sum(tensor_bytes(value) for value in content)
    return 0
