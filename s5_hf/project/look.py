"""A look into folders: which hold images with masks, which images alone, and what the masks say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from ..dataset_builders.images import EXTENSIONS
from .look_at_labels import FoundScenes, look_at_labels

__all__ = ["FoundDataset", "Found", "look_into"]

SPLITS = ("train", "val", "test")
LABELS = ("masks", "labels")
VECTORS = (".gpkg", ".geojson", ".shp", ".fgb")
LOOKED_AT = 60
"""Masks of a dataset whose values are read."""
LARGE = 1500
"""Side in pixels from which on an image is a scene to be mapped, and not one of an archive."""


@dataclass(frozen=True)
class FoundDataset:
    """A folder of images and masks.

    Attributes:
        folder: of it.
        counts: images of each split; without splits all are `train`.
        classes: names, as the folder tells them or made up, in the order of the ids.
        named: whether the folder tells them.
        side: smallest side of the images that were looked at, in pixels.
    """

    folder: Path
    counts: dict[str, int]
    classes: tuple[str, ...]
    named: bool
    side: int


@dataclass
class Found:
    """What lies in some folders.

    Attributes:
        datasets: images with masks.
        labelled: scenes with polygons.
        archive: folders of images without masks, with their numbers of images.
        scenes: images so large that they are to be mapped.
    """

    datasets: list[FoundDataset] = field(default_factory=list)
    labelled: list[FoundScenes] = field(default_factory=list)
    archive: dict[Path, int] = field(default_factory=dict)
    scenes: list[Path] = field(default_factory=list)


def look_into(places: Sequence[Path]) -> Found:
    """What folders hold, they themselves or the folders right in them; an image file is a scene.

    Raises:
        FileNotFoundError: if there is no such place, or nothing was found in it, or polygons lie on no scene.
        ImportError: if there are polygons, and the extra `geo` is not installed.
        ValueError: for masks that are no class ids, and polygons without a CRS.
    """
    found = Found()
    vectors = [file for place in places for file in _vectors(place)]
    folders = [folder for place in places if place not in vectors for folder in _folders(place)]
    for folder in folders:
        if not folder.exists():
            raise FileNotFoundError(f"there is no folder {folder}")
    if vectors:
        images = [(folder, _images(folder)) for folder in folders if folder.is_dir() and not _pairs(folder)]
        found.labelled = [look_at_labels(file, images) for file in vectors]
    taken = {scene for labelled in found.labelled for scene in labelled.scenes}
    for place in places:
        looked_at = [_look_at(folder, found, taken) for folder in _folders(place) if place not in vectors]
        if not any(looked_at) and place not in vectors:
            raise FileNotFoundError(
                f"{place} holds neither images nor images with masks; expected images, or images/ and masks/ (or "
                "train/images, train/masks, val/images, val/masks) in it or in the folders right in it"
            )
    found.scenes += [scene for labelled in found.labelled for scene in labelled.scenes]
    return found


def _vectors(place: Path) -> list[Path]:
    """A file of polygons, or those right in a folder."""
    if place.is_dir():
        return sorted(path for path in place.iterdir() if path.suffix.lower() in VECTORS)
    return [place] if place.is_file() and place.suffix.lower() in VECTORS else []


def _folders(place: Path) -> list[Path]:
    """The place itself, and where it holds no images with masks, the folders right in it."""
    if not place.is_dir() or _pairs(place):
        return [place]
    return [place, *sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))]


def _look_at(folder: Path, found: Found, taken: set[Path]) -> bool:
    """Add what a folder holds besides the scenes that are `taken` already; whether it holds something."""
    if folder in taken:
        return True
    if folder.is_file():
        found.scenes += [folder] if folder.suffix.lower() in EXTENSIONS else []
        return folder.suffix.lower() in EXTENSIONS
    pairs = _pairs(folder)
    if pairs:
        found.datasets.append(_dataset(folder, pairs))
        return True
    everything = _images(folder)
    images = [path for path in everything if path not in taken]
    scenes = [path for path in images if max(_size(path)) >= LARGE]
    found.scenes += scenes if len(scenes) < len(images) or len(scenes) <= 4 else []
    others = len(images) - len(scenes)
    if others == 1:
        found.scenes += [path for path in images if path not in scenes]
    elif others or len(scenes) > 4:
        found.archive[folder] = others or len(scenes)
    return bool(everything)


def _pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The folders of images and of masks by split; empty where there are none."""
    found = {}
    for split in SPLITS:
        for images, labels in ((f"{split}/images", f"{split}/{{}}"), (f"images/{split}", f"{{}}/{split}")):
            masks = [folder / labels.format(name) for name in LABELS if (folder / labels.format(name)).is_dir()]
            if masks and (folder / images).is_dir():
                found.setdefault(split, (folder / images, masks[0]))
    masks = [folder / name for name in LABELS if (folder / name).is_dir()]
    if not found and masks and (folder / "images").is_dir():
        found["train"] = (folder / "images", masks[0])
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)


def _size(path: Path) -> tuple[int, int]:
    """Width and height; (0, 0) for a file that Pillow cannot open, such as one of many bands."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return (0, 0)


def _dataset(folder: Path, pairs: dict[str, tuple[Path, Path]]) -> FoundDataset:
    """What a folder of images and masks holds."""
    counts = {split: len(_images(images)) for split, (images, _) in pairs.items()}
    masks = [path for _, labels in pairs.values() for path in _images(labels)]
    values: set[int] = set()
    for path in masks[:: max(1, len(masks) // LOOKED_AT)]:
        values |= _values(path)
    named = _told_classes(folder)
    highest = max((value for value in values if value != 255), default=0)
    classes = named or tuple(f"class {number}" for number in range(highest + 1))
    if named and highest >= len(named):
        raise ValueError(f"{folder}: masks hold the class {highest}, but the folder names {len(named)} classes")
    sides = [min(_size(path)) for images, _ in pairs.values() for path in _images(images)[:LOOKED_AT]]
    return FoundDataset(folder, counts, classes, bool(named), min((side for side in sides if side), default=0))


def _values(path: Path) -> set[int]:
    with Image.open(path) as mask:
        array = np.asarray(mask)
    if array.ndim != 2:
        raise ValueError(f"{path} is a mask in colour; a project needs class ids, one number per pixel")
    return {int(value) for value in np.unique(array)}


def _told_classes(folder: Path) -> tuple[str, ...]:
    """The classes in `dataset.json` or, a line each, in `classes.txt`."""
    description, lines = folder / "dataset.json", folder / "classes.txt"
    if description.is_file():
        return tuple(json.loads(description.read_text(encoding="utf-8")).get("classes", ()))
    if lines.is_file():
        return tuple(line.strip() for line in lines.read_text(encoding="utf-8").splitlines() if line.strip())
    return ()
