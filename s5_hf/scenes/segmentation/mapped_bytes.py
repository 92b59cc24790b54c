"""Arrays of bytes that live in a file, so that they outlive the process."""

import os
from pathlib import Path

import numpy as np

__all__ = ["mapped_bytes"]


def mapped_bytes(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """An array uint8 of that shape in a file; what an existing file holds is kept, a new one holds zeros.

    Raises:
        OSError: there is no room for it.
    """
    if not path.exists():
        try:
            _take_room(path, int(np.prod(shape)))
        except OSError as error:
            raise OSError(f"{path} cannot be written; is the disk full? {error}") from error
    return np.memmap(path, dtype=np.uint8, mode="r+", shape=shape)


def _take_room(path: Path, size: int) -> None:
    """Make a file of that size; room is taken at once, as writing to a mapped file on a full disk ends the process."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
