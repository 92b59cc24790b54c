"""Replacing a folder by a newer one, so that a kill between any two file operations leaves a complete one.

While a folder is replaced, the new one lies beside it as `.NAME.new` and the former as `.NAME.former`.
"""

import shutil
from pathlib import Path

from .manifest import changed_files


def waiting(folder: Path) -> Path:
    """Where the folder that is to take the place of `folder` is written first."""
    return folder.with_name(f".{folder.name}.new")


def former(folder: Path) -> Path:
    """Where the one that was replaced lies for a moment."""
    return folder.with_name(f".{folder.name}.former")


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed run left beside a folder that is there."""
    for leftover in (waiting(folder), former(folder)):
        shutil.rmtree(leftover, ignore_errors=True)


def swap_in(folder: Path) -> None:
    """Let the finished folder at `waiting(folder)` take the place of `folder`, if that exists or not."""
    if folder.exists():
        folder.replace(former(folder))
    waiting(folder).replace(folder)
    shutil.rmtree(former(folder), ignore_errors=True)


def recover(folder: Path) -> bool:
    """Give a folder that was lost between two renames its name back: the new one, else the former.

    Only a folder that is as its manifest says is taken.

    Returns:
        Whether `folder` was missing and is there now.
    """
    if folder.exists():
        return False
    for candidate in (waiting(folder), former(folder)):
        if candidate.is_dir() and not changed_files(candidate):
            candidate.replace(folder)
            return True
    return False
