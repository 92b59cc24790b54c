"""A look at bands and depth: what of the things found can go into one project, and what its bands are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..imaging import find_scenes, is_remote
from .bands import (
    LOOKED_AT,
    ImageBands,
    band_names,
    cannot_be_mapped,
    differs,
    first_images,
    images_folder,
    read_image_bands,
)
from .look import Found

__all__ = ["with_common_bands"]


def with_common_bands(found: Found) -> tuple[Found, list[str] | None, list[str]]:
    """Leave out what has other bands, or another depth, than the first dataset.

    Returns:
        What is left; the names of the bands where they need to be said and all files know them; and what was left
        out, a line each.

    Raises:
        CorruptImageError: if an image cannot be read.
    """
    first = next(images_of([*(place for data in found.labelled for place in data.scenes),
                            *(data.folder for data in found.datasets)]))  # fmt: skip
    seen, lines = [first], []

    def fits(places: Sequence[Path], mapped: bool = False) -> bool:
        for image in images_of(places):
            reason = cannot_be_mapped(image, first, None) if mapped else differs(image, first)
            if reason is not None:
                lines.append(f"left out: {', '.join(map(str, places))}, for {reason}")
                return False
            seen.append(image)
        return True

    left = replace(
        found,
        labelled=[data for data in found.labelled if fits(data.scenes)],
        datasets=[data for data in found.datasets if fits([data.folder])],
        archive={folder: count for folder, count in found.archive.items() if fits([folder])},
        scenes=[scene for scene in found.scenes if fits([scene], mapped=True)],
    )
    return left, band_names(seen), lines


def images_of(places: Iterable[Path]) -> Iterator[ImageBands]:
    """The bands of some images in each of these folders and files; masks beside images do not count."""
    for place in places:
        images = images_folder(place)
        files = find_scenes([place])[:LOOKED_AT] if images == place else first_images(images)
        yield from (read_image_bands(path) for path in files if not is_remote(path))
