"""Names of scenes: paths, URLs, and names that GDAL knows."""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

__all__ = ["is_remote", "relative_source", "scene_stem"]


def is_remote(source: str | Path) -> bool:
    """Whether a scene is a URL or one of GDAL's virtual files."""
    return isinstance(source, str) and (source.startswith("/vsi") or "://" in source)


def scene_stem(source: str | Path) -> str:
    """The name of a scene without folder and suffix."""
    return PurePosixPath(urlsplit(str(source)).path).stem if is_remote(source) else Path(source).stem


def relative_source(source: str, folder: Path) -> str:
    """The scene as seen from the folder of its results, so that both can be moved together."""
    if is_remote(source):
        return source
    try:
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # another drive
        return str(Path(source).resolve())
