"""Replacing a folder by a newer one, so that a kill between any two file operations leaves a complete one.

A new folder is written as `.NAME.partial` and is called `.NAME.new` once it is complete; while it takes its place the
one before it is called `.NAME.former`. The names are fixed, because a run holds the lock of its folder.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .manifest import changed_files


def partial(folder: Path) -> Path:
    """Where the folder that is to take the place of `folder` is written."""
    return folder.with_name(f".{folder.name}.partial")


def waiting(folder: Path) -> Path:
    """Where it lies once it is complete."""
    return folder.with_name(f".{folder.name}.new")


def former(folder: Path) -> Path:
    """Where the one that was replaced lies for a moment."""
    return folder.with_name(f".{folder.name}.former")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to; when the block ends well it takes the place of `folder`, else it is removed.

    To be found again by `recover` it needs a manifest.
    """
    clear_leftovers(folder)
    temporary = partial(folder)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    swap_in(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed run left beside a folder; complete ones only if the folder itself is there."""
    for leftover in (partial(folder), *((waiting(folder), former(folder)) if folder.exists() else ())):
        shutil.rmtree(leftover, ignore_errors=True)


def swap_in(folder: Path) -> None:
    """Let the finished folder at `partial(folder)` take the place of `folder`, whether that exists or not."""
    shutil.rmtree(waiting(folder), ignore_errors=True)
    partial(folder).replace(waiting(folder))
    if folder.exists():
        shutil.rmtree(former(folder), ignore_errors=True)
        folder.replace(former(folder))
    waiting(folder).replace(folder)
    shutil.rmtree(former(folder), ignore_errors=True)


def recover(folder: Path) -> bool:
    """Give a folder that was lost between two renames its name back: the new one, else the former.

    Only a folder that is as its manifest says is taken; then, or where nothing is missing, the others are removed.

    Returns:
        Whether `folder` was missing and is there now.
    """
    candidates = [] if folder.exists() else [waiting(folder), former(folder)]
    complete = next((path for path in candidates if path.is_dir() and not changed_files(path)), None)
    if complete is not None:
        complete.replace(folder)
    clear_leftovers(folder)
    return complete is not None
