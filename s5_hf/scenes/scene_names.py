"""Names of scenes in the results that are made of them."""

import os
from pathlib import Path

from ..imaging.scene_files import is_remote

__all__ = ["relative_source"]


def relative_source(source: str, folder: Path) -> str:
    """The scene as seen from the folder of its results, so that both can be moved together."""
    if is_remote(source):
        return source
    try:
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # another drive
        return str(Path(source).resolve())
