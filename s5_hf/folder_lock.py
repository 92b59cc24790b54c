"""One run at a time in an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from huggingface_hub.utils import WeakFileLock

__all__ = ["LOCK_FILE", "folder_lock"]

LOCK_FILE = ".lock"
"""In the folder while it is in use. The lock is on the open file: one that a killed run left behind locks nothing."""

_PATIENCE_SECONDS = 0.2


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if it is missing, until the block ends.

    Raises:
        BlockingIOError: if another run has the folder; names it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOCK_FILE
    lock = WeakFileLock(file, timeout=_PATIENCE_SECONDS)
    try:
        lock.__enter__()
    except TimeoutError as error:
        raise BlockingIOError(
            f"{folder} is in use by another run, which holds {file}: wait for its end, or choose another folder"
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it with the lock
            file.unlink()
        lock.__exit__(None, None, None)
