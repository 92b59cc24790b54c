"""Made-up images of two dates with a known change, its mask, and sentences that say it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..files.atomic import write_text
from .files import png, write_file
from .scene import checked_shape, scene_seeds, synthetic_scene

__all__ = ["SyntheticChange", "synthetic_change", "write_synthetic_changes"]

UNCHANGED_SHARE = 0.2
BRIGHTNESS = (0.85, 1.15)
NOISE = 3.0  # deviation in grey values

PLACES = {"north west": (0, 0), "north east": (0, 1), "south west": (1, 0), "south east": (1, 1)}
"""Quarters of a picture whose north is up: row and column."""

THINGS = {
    "a pond": (52, 84, 120),
    "a car park": (128, 128, 132),
    "a forest": (38, 74, 34),
    "a large roof": (176, 72, 56),
}
"""What appears, and its colour."""

NO_CHANGE = (
    "the scene is the same as before .",
    "there is no difference .",
    "the two scenes seem identical .",
    "no change has occurred .",
    "almost nothing has changed .",
)
SENTENCES = (
    "{thing} appears in the {place} .",
    "there is {thing} in the {place} now .",
    "{thing} has been added in the {place} of the scene .",
    "in the {place} , {thing} is new .",
    "{thing} can be seen in the {place} of the second image .",
)


@dataclass(frozen=True)
class SyntheticChange:
    """Two dates of a place.

    Attributes:
        before, after: uint8 `(size, size, 3)`; light and noise differ.
        mask: bool `(size, size)`, what changed.
        thing, place: that appeared, and the quarter where it did; empty where nothing changed.
        captions: five sentences that say it.
    """

    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    thing: str
    place: str
    captions: tuple[str, ...]


def synthetic_change(size: int = 64, seed: int = 0) -> SyntheticChange:
    """A made-up change; the same size and seed always give the same one.

    Args:
        size: side in pixels, 64 or more.
        seed: not negative.

    Raises:
        TypeError, ValueError: as `synthetic_scene`.
    """
    scene = synthetic_scene(size, seed)
    generator = np.random.default_rng([seed, size])
    mask = np.zeros((size, size), dtype=bool)
    thing = place = ""
    later = scene.image.astype(np.float32)
    if generator.random() >= UNCHANGED_SHARE:
        thing, place = (str(generator.choice(list(names))) for names in (THINGS, PLACES))
        mask = _blob(size, PLACES[place], thing == "a pond", generator)
        later[mask] = THINGS[thing]
    captions = [sentence.format(thing=thing, place=place) for sentence in SENTENCES] if thing else list(NO_CHANGE)
    later = later * generator.uniform(*BRIGHTNESS) + generator.normal(0, NOISE, later.shape)
    return SyntheticChange(
        scene.image, later.clip(0, 255).round().astype(np.uint8), mask, thing, place, tuple(captions)
    )


def write_synthetic_changes(
    folder: str | os.PathLike[str], counts: dict[str, int], size: int = 64, seed: int = 0
) -> Path:
    """Write changes as `s5-levir-cc` reads them.

    Args:
        folder: made if missing; must not hold any yet.
        counts: of pairs, by split.
        size: of the images in pixels.
        seed: of all of them.

    Raises:
        FileExistsError: the folder holds changes.
    """
    folder = Path(folder)
    table = folder / "LevirCCcaptions.json"
    if table.exists():
        raise FileExistsError(f"{table} exists already; choose another folder")
    checked_shape(size)
    entries = []
    seeds = iter(scene_seeds(sum(counts.values()), seed))
    for split, count in counts.items():
        for part in ("A", "B", "label"):
            (folder / "images" / split / part).mkdir(parents=True, exist_ok=True)
        for index in tqdm(range(count), desc=split, unit="pair", disable=None):
            change, name = synthetic_change(size, next(seeds)), f"{split}_{index:06d}.png"
            pictures = {"A": change.before, "B": change.after, "label": np.uint8(255) * change.mask}
            for part, pixels in pictures.items():
                write_file(folder / "images" / split / part / name, png(pixels))
            sentences = [{"raw": sentence} for sentence in change.captions]
            entries.append({"filename": name, "split": split, "sentences": sentences})
    write_text(table, json.dumps({"images": entries}) + "\n")
    return folder


def _blob(size: int, quarter: tuple[int, int], is_round: bool, generator: np.random.Generator) -> np.ndarray:
    """A round or rectangular patch inside a quarter of a picture, bool `(size, size)`."""
    half = size / 2
    reach = generator.uniform(0.25, 0.4, 2) * half
    middle = [half * (number + 0.5) + generator.uniform(-0.08, 0.08) * half for number in quarter]
    rows, columns = np.mgrid[:size, :size]
    away = [
        np.abs(axis - centre) / extent for axis, centre, extent in zip((rows, columns), middle, reach, strict=True)
    ]
    return np.hypot(*away) <= 1 if is_round else np.maximum(*away) <= 1
