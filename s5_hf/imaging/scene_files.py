"""Which files stand for scenes: paths, folders, patterns, URLs, and names that GDAL knows."""

import glob
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ..dataset_builders.images import EXTENSIONS

__all__ = ["SCENE_SUFFIXES", "find_scenes", "is_remote", "scene_stem"]

SCENE_SUFFIXES = (*EXTENSIONS, ".vrt", ".jp2", ".img")
"""What counts as a scene in a folder."""


def is_remote(source: str | Path) -> bool:
    """Whether a scene is a URL or one of GDAL's virtual files."""
    return isinstance(source, str) and (source.startswith("/vsi") or "://" in source)


def scene_stem(source: str | Path) -> str:
    """The name of a scene without folder and suffix."""
    return PurePosixPath(urlsplit(str(source)).path).stem if is_remote(source) else Path(source).stem


def find_scenes(places: Sequence[str | Path]) -> list[str]:
    """The scenes that files, folders, glob patterns and URLs stand for, sorted within each place, none twice.

    Raises:
        FileNotFoundError: a place holds no scene.
    """
    scenes: dict[str, None] = {}
    for place in map(str, places):
        found = [place] if is_remote(place) or Path(place).is_file() else _scenes_of(place)
        if not found:
            raise FileNotFoundError(
                f"{place} is not a scene: expected a file, a URL, a folder or a pattern that matches files of the "
                f"kinds {', '.join(SCENE_SUFFIXES)}"
            )
        scenes.update(dict.fromkeys(found))
    return list(scenes)


def _scenes_of(place: str) -> list[str]:
    if Path(place).is_dir():
        return sorted(str(path) for path in Path(place).iterdir() if path.suffix.lower() in SCENE_SUFFIXES)
    return sorted(path for path in glob.glob(place, recursive=True) if Path(path).is_file())  # noqa: PTH207 - ~ and **
