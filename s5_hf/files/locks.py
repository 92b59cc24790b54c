"""One run at a time in a folder: a lock that the system lets go of when its process ends, however it ends.

A file lock (`flock`; on Windows a locked byte) needs no test for stale locks, and holds between machines on file
systems that share locks, as NFS does.
"""

import contextlib
import errno
import json
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK_FILE", "FolderInUseError", "folder_lock"]

LOCK_FILE = ".run.lock"
"""In the folder while it is in use. The lock is on the open file: one that a killed run left behind locks nothing."""
_BYTE = 1 << 30  # Windows locks bytes against reading too: one that no text reaches
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


class FolderInUseError(BlockingIOError):
    """Another run writes to the same folder."""


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Keep other runs out of a folder until the block ends.

    The folder is made if it is missing, and removed again if nothing was put into it.

    Raises:
        FolderInUseError: if another process holds it.
    """
    folder = Path(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    file = take(path)
    file.truncate(0)
    file.write(json.dumps(this_process()).encode("utf-8"))
    file.flush()
    if hasattr(os, "register_at_fork"):  # a data worker that outlives a kill must not hold the lock
        os.register_at_fork(after_in_child=file.close)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no file that another run is just looking at
            if sys.platform == "win32":
                file.close()
            path.unlink()
        file.close()
        with contextlib.suppress(OSError):
            for empty in made:
                empty.rmdir()


def take(path: Path) -> BinaryIO:
    """Open the file of a lock and lock it.

    Raises:
        FolderInUseError: if another process holds it.
    """
    while True:
        file = path.open("a+b")
        try:
            lock_file(file)
        except OSError as error:
            if error.errno in _TAKEN:
                holder = describe_holder(file)
                file.close()
                raise FolderInUseError(
                    f"{path.parent} is in use by another run: {holder}. Wait for its end, stop it, or choose another "
                    "folder"
                ) from error
            warnings.warn(
                f"{path.parent} cannot be locked ({error}): make sure that only one run uses it", stacklevel=2
            )
            return file
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
        file.close()  # the run before removed it between opening and locking


def lock_file(file: BinaryIO) -> None:
    """Lock an open file without waiting; an OSError says that it is taken, or that there are no locks."""
    if sys.platform == "win32":
        file.seek(_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def this_process() -> dict[str, object]:
    """What another run says about this one."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"process": os.getpid(), "host": platform.node(), "since": now}


def describe_holder(file: BinaryIO) -> str:
    """The process that holds a lock, in words."""
    file.seek(0)
    try:
        found = json.loads(file.read())
        return f"process {found['process']} on {found['host']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has just begun"
