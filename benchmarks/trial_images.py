"""The images of a trial: reduced copies to train on, and the choice of those with labels."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

from s5_hf.files.atomic import atomic_folder
from s5_hf.training.pretraining.labelled_choice import balanced_choice

FILTERS = {"images": Image.Resampling.BOX, "masks": Image.Resampling.NEAREST}


def prepared(source: Path, target: Path, side: int, positive: int | None, held_out: int, mixed: float = 0.0) -> Path:
    """A copy of SPLIT/images and SPLIT/masks to train on; made once.

    Args:
        source: folder with the splits train and val.
        target: of the copy.
        side: no image of the copy is longer.
        positive: masks of the copy are 1 where they had this value and 0 elsewhere; `None` to keep them.
        held_out: so many images of train, drawn at random, are the copy's val; 0 for val itself.
        mixed: images in which a class has less than this share of the pixels, 0 to 1, are left out.
    """
    if target.exists():
        return target
    splits = {split: sorted((source / split / "images").iterdir()) for split in ("train", "val")}
    if held_out:
        left = set(random.Random(0).sample(splits["train"], held_out))
        splits = {"train": [path for path in splits["train"] if path not in left], "val": sorted(left)}
    with atomic_folder(target) as folder:
        for split, path in ((split, path) for split, paths in splits.items() for path in paths):
            mask = reduced(path.parents[1] / "masks" / f"{path.stem}.png", side, FILTERS["masks"])
            if positive is not None:
                mask = mask.point(lambda value: int(value == positive))
            if mixed and min(np.bincount(np.asarray(mask).ravel(), minlength=2)) < mixed * mask.width * mask.height:
                continue
            for kind, picture in (("masks", mask), ("images", reduced(path, side, FILTERS["images"]))):
                copy = folder / split / kind / f"{path.stem}.png"
                copy.parent.mkdir(parents=True, exist_ok=True)
                picture.save(copy)
    return target


def reduced(path: Path, side: int, filter_: Image.Resampling) -> Image.Image:
    """An image whose longest side is at most `side`."""
    with Image.open(path) as picture:
        factor = min(1.0, side / max(picture.size))
        return picture.resize([max(1, round(length * factor)) for length in picture.size], filter_)


def mask_of(path: Path) -> np.ndarray:
    """The values of a mask, `(height, width)`."""
    with Image.open(path) as mask:
        return np.asarray(mask)


def balanced_names(masks: Path, count: int, seed: int, share: float) -> list[str]:
    """Names of `count` images drawn by the seed, again and again until each class has the share of their pixels.

    Args:
        masks: folder of the masks that are drawn from.
        count: of the images.
        seed: of the draws.
        share: least one of every class, 0 to 1.

    Raises:
        ValueError: if none of 10,000 draws has it.
    """
    paths = sorted(masks.iterdir())
    pixels = [np.bincount(mask_of(path).ravel()) for path in paths]
    classes = max(len(counts) for counts in pixels)
    table = np.array([np.pad(counts, (0, classes - len(counts))) for counts in pixels])
    chosen = balanced_choice(table, count, seed, share, [f"class {number}" for number in range(classes)])
    return [paths[place].stem for place in chosen]
