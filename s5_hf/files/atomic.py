"""Writing so that nothing half-written ever carries a final name.

Temporary names are random and created exclusively, so that nobody can plant a link where they will be. New files and
folders get the mode that the umask leaves them, replaced ones keep theirs. An output path that is a symbolic link
stays one: what it points to is replaced.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "SUFFIX",
    "atomic_file",
    "atomic_folder",
    "remove_leftovers",
    "require_absent",
    "temporary_folder",
    "write_text",
]

SUFFIX = ".partial"
"""The end of all temporary names, which begin with a dot."""

# File systems allow 255 bytes, encrypted ones 143.
_LONGEST_NAME = 140


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`: renamed to `path` when the block ends without an error, else removed.

    Args:
        path: the file to write, replaced if it exists. Its folder is made. Where it is a symbolic link, the file that
            the link points to is written, and the link is kept.

    Raises:
        OSError: if `path` is a folder, a device or a pipe, or cannot be written.
    """
    path = _behind_links(Path(path))
    former_mode = _mode_of_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        mode = stat.S_IMODE(temporary.stat().st_mode) if former_mode is None else former_mode
        temporary.chmod(mode)
        yield temporary
        temporary.chmod(mode)  # the block may have put another file in its place
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8 with the same bytes on every system, whole or not at all; see `atomic_file`."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; when the block ends without an error it takes the name `path`.

    Args:
        path: the folder to make. Where it is a symbolic link to an empty folder or to nothing, the folder is made
            where the link points to, and the link is kept.

    Raises:
        FileExistsError: if `path` exists already and is not an empty folder.
    """
    path = _behind_links(Path(path))
    require_absent(path)
    with temporary_folder(path) as temporary:
        yield temporary
        if path.is_dir():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            path.rmdir()
        temporary.replace(path)


@contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder of a random name beside `path`; what is still there when the block ends is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        temporary.mkdir()
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders that killed runs left. Only for the run that holds the folder's lock."""
    for path in folder.glob(f".*{SUFFIX}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def require_absent(path: Path) -> None:
    """Raise a FileExistsError if `path` is taken by anything except an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists():
        raise FileExistsError(f"{path} exists already; remove it or choose another name")


def _temporary_name(path: Path) -> Path:
    """A random name beside `path` that is short enough for every file system."""
    end = f".{secrets.token_hex(8)}{SUFFIX}"
    begin = os.fsencode(f".{path.name}")[: _LONGEST_NAME - len(end)].decode("utf-8", errors="ignore")
    return path.with_name(begin + end)


def _behind_links(path: Path) -> Path:
    """`path`, or what it points to where it is a symbolic link."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, "symbolic links point at each other", str(path))
    return target


def _mode_of_file(path: Path) -> int | None:
    """Permissions of the file at `path`, `None` if there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder has the name of the file to write", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file, it cannot be replaced", str(path))
    return stat.S_IMODE(mode)
