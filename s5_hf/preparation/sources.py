"""Finding publishers' files below a folder, however their archives were unpacked."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..dataset_builders.images import is_image

__all__ = ["image_files", "only_one", "split_of"]

_SPLIT = re.compile(r"(?:^|[^a-z])(trainval|train|val|test)(?:ing|idation)?(?:$|[^a-z])")


def image_files(raw: Path) -> Iterator[Path]:
    """All image files below `raw`, in the order of their paths; hidden ones are left out.

    Raises:
        FileNotFoundError: `raw` is not a folder.
    """
    if not raw.is_dir():
        raise FileNotFoundError(f"{raw} is not a folder. Give the folder that holds the publisher's files.")
    for path in sorted(raw.rglob("*")):
        if is_image(path.name) and not path.name.startswith(".") and path.is_file():
            yield path


def split_of(path: Path, raw: Path) -> str | None:
    """The split (train, val, trainval or test) that a folder between `raw` and the file names, or `raw` itself."""
    for part in (*reversed(path.relative_to(raw).parts[:-1]), raw.name):
        if found := _SPLIT.search(part.lower()):
            return found.group(1)
    return None


def only_one(paths: Iterable[Path], what: str) -> Path | None:
    """The single path, or None if there is none.

    Raises:
        ValueError: there are several; names `what` and the first two.
    """
    paths = list(paths)
    if len(paths) > 1:
        raise ValueError(f"{what} occurs {len(paths)} times: {paths[0]} and {paths[1]}. Keep one of them.")
    return paths[0] if paths else None
