"""One training per folder: a lock that the system lets go of when its process ends, however it ends.

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

from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env

from .errors import FolderInUseError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FILE_NAME = ".run.lock"
_BYTE = 1 << 30  # Windows locks bytes against reading too: one that no text reaches
_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder of a run. All processes of the run call it together; the main one locks.

    Raises:
        FolderInUseError: on every process, naming the other run, if there is one.
        OSError: on every process, if the folder cannot be made or written to.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))  # as `Accelerator` will make it
    with contextlib.ExitStack() as stack:
        answer: list[Exception | None] = [None]
        if state.is_main_process:
            try:
                stack.enter_context(lock(folder))
            except (FolderInUseError, OSError) as error:
                answer = [error]
        answer = broadcast_object_list(answer)
        if answer[0] is not None:
            raise answer[0]
        yield


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be, and removed again if nothing was put into it.

    Raises:
        FolderInUseError: if another process holds it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
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
                    f"another training writes to {path.parent}: {holder}. Wait for its end, stop it, or choose "
                    "another output_dir"
                ) from error
            warnings.warn(
                f"{path.parent} cannot be locked ({error}): see to it that only one run uses it", stacklevel=2
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
