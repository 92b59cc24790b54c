"""Pairs of two dates made of single images with masks of buildings: roofs of other images pasted in, another season.

What a mask of buildings gives roughly, their outlines, is enough: the mask of changes is that of what was pasted.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from s5_hf.files.atomic import atomic_folder

SIDE = 256
ROOF_AREA = (150, 2500)
"""Pixels of a roof, least and most."""
LEAST_SIDE, LEAST_SHARE = 9, 0.55
"""Of a roof: sides in pixels of the box around it, and share of the box; others are slivers of a rough mask."""
ROOFS = {"came": (2, 7), "gone": (0, 3), "stayed": (1, 4)}
"""How many roofs, least and most, are pasted into the second date, into the first, and into both."""
MOST_TRIES = 40

Camera = Callable[[np.ndarray, np.random.Generator, bool], np.ndarray]
"""What makes uint8 images of scenes, as `photographed`."""


def make_pairs(
    source: Path, target: Path, building: int = 1, limit: int | None = None, camera: Camera | None = None
) -> Path:
    """Pairs of every image of SOURCE/{train,val}/{images,masks} in TARGET/{train,val}/{before,after,mask}; made once.

    Args:
        source: images with masks.
        target: of the pairs; the roofs of a split are those of its own images.
        building: value of buildings in the masks.
        limit: at most so many pairs of a split.
        camera: what both dates are seen by; `photographed` if left out.
    """
    if target.exists():
        return target
    with atomic_folder(target) as folder:
        for split in ("train", "val"):
            names = sorted(path.name for path in (source / split / "images").iterdir())
            images = [read_pair(source / split, name) for name in names]
            for number, name in enumerate(names[:limit]):
                generator = np.random.default_rng([split == "val", number])
                others = [images[place] for place in generator.permutation(len(images)) if place != number][:20]
                made = make_pair(*images[number], others, building, generator, camera or photographed)
                for kind, pixels in zip(("before", "after", "mask"), made, strict=True):
                    path = folder / split / kind / f"{Path(name).stem}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(path)
    return target


def read_pair(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image uint8 `(height, width, 3)` and its mask `(height, width)`."""
    mask = np.asarray(Image.open(folder / "masks" / f"{Path(name).stem}.png"))
    return np.asarray(Image.open(folder / "images" / name).convert("RGB")), mask


def make_pair(
    image: np.ndarray,
    mask: np.ndarray,
    others: Sequence[tuple[np.ndarray, np.ndarray]],
    building: int,
    generator: np.random.Generator,
    camera: Camera,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both dates, uint8 RGB of `SIDE` pixels, and the mask of what changed, 255 where it did and 0 elsewhere.

    Args:
        image, mask: of the place.
        others: images with masks, whose roofs are pasted.
        building: value of buildings in the masks.
        generator: of all random numbers.
        camera: what both dates are seen by.
    """
    top, left = (int(generator.integers(0, side - SIDE + 1)) for side in mask.shape)
    before = image[top : top + SIDE, left : left + SIDE].astype(np.float32)
    taken = mask[top : top + SIDE, left : left + SIDE] == building
    after, changed = before.copy(), np.zeros((SIDE, SIDE), dtype=bool)
    roofs = [roof for other in others for roof in cut_roofs(*other, building)]
    generator.shuffle(roofs)
    for kind, (least, most) in ROOFS.items():
        for _ in range(int(generator.integers(least, most + 1))):
            placed = place_roof(roofs.pop(), taken, generator) if roofs else None
            if placed is None:
                continue
            alpha, pixels, footprint = placed
            dates = {"came": (after,), "gone": (before,), "stayed": (before, after)}[kind]
            for date in dates:
                date += alpha[..., None] * (pixels - date)
            taken |= footprint
            if kind != "stayed":
                changed |= footprint
    return (
        camera(before, generator, False),
        camera(after, generator, True),
        changed.astype(np.uint8) * 255,
    )


def cut_roofs(image: np.ndarray, mask: np.ndarray, building: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Roofs of an image: pixels and footprint, bool, of the box around each."""
    numbered, _ = ndimage.label(mask == building)
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        footprint = numbered[box] == number
        inside = all(side.start > 0 and side.stop < length for side, length in zip(box, mask.shape, strict=True))
        compact = min(footprint.shape) >= LEAST_SIDE and footprint.mean() >= LEAST_SHARE
        if inside and compact and ROOF_AREA[0] <= footprint.sum() <= ROOF_AREA[1]:
            found.append((image[box].astype(np.float32), footprint))
    return found


def place_roof(
    roof: tuple[np.ndarray, np.ndarray], taken: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """A roof turned and put where nothing stands: opacity, pixels and footprint at the size of the image, or None."""
    turns = int(generator.integers(4))
    pixels, footprint = (np.rot90(part, turns) for part in roof)
    height, width = footprint.shape
    if height >= SIDE or width >= SIDE:
        return None
    for _ in range(MOST_TRIES):
        top, left = int(generator.integers(SIDE - height)), int(generator.integers(SIDE - width))
        place = (slice(top, top + height), slice(left, left + width))
        if (taken[place] & footprint).any():
            continue
        whole, canvas = np.zeros((SIDE, SIDE), dtype=bool), np.zeros((SIDE, SIDE, 3), dtype=np.float32)
        whole[place], canvas[place] = footprint, pixels
        # Soft edges; outside the footprint the colour of the nearest pixel of the roof.
        nearest = ndimage.distance_transform_edt(~whole, return_distances=False, return_indices=True)
        return ndimage.gaussian_filter(whole.astype(np.float32), 0.7), canvas[tuple(nearest)], whole
    return None


def photographed(scene: np.ndarray, generator: np.random.Generator, moves: bool) -> np.ndarray:
    """A date as a camera sees it on some day: light, season, a shift by up to 1.5 pixels, noise. uint8."""
    seen = scene / 255
    if moves:
        shift = (*generator.uniform(-1.5, 1.5, 2), 0)
        seen = ndimage.shift(seen, shift, order=1, mode="nearest")
    green = np.clip(seen[..., 1] - seen[..., [0, 2]].mean(axis=2), 0, None)[..., None]
    seen = seen + green * generator.uniform(-0.7, 0.7, 3)  # plants turn brown, or greener
    seen = np.clip(seen, 0, 1) ** generator.uniform(0.8, 1.25)
    seen = seen * generator.uniform(0.9, 1.1, 3) * generator.uniform(0.85, 1.15) + generator.uniform(-0.05, 0.05)
    seen = ndimage.gaussian_filter(seen, (*[generator.uniform(0, 0.7)] * 2, 0))
    seen = seen + generator.normal(0, 0.015, seen.shape)
    return np.clip(seen * 255, 0, 255).astype(np.uint8)
