"""Which of the labelled images a run learns from: at random, covering or balancing the classes, or by a list of names.

Where labels are few, which images have them matters more than most settings; the run records the names.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tqdm import tqdm

from ..views.sample_reader import checked_mask

SELECTION_FILE = "selection.parquet"  # in the folder `selection` that `s5-hf curate` writes
DRAWS = 10_000
PRESENT = 0.01
"""Share of an image's pixels from which on a class counts as shown, if any image has so much of it."""


def random_choice(total: int, count: int, seed: int) -> list[int]:
    """Positions of `count` samples of `total` that the seed chooses, in ascending order.

    Raises:
        ValueError: if there are too few.
    """
    if count > total:
        raise ValueError(f"labelled_count is {count}, but the dataset has {total} samples")
    return sorted(np.random.default_rng(seed).permutation(total)[:count].tolist())


def covering_choice(shown: np.ndarray, count: int, seed: int, labels: Sequence[str]) -> list[int]:
    """Positions of samples that show every class, and the classes about equally often, in ascending order.

    First the rarest class that is not shown yet is covered, by the image that shows most of such classes; when all
    are, an image with the class that the fewest chosen ones show is added, again and again. The seed decides between
    equals.

    Args:
        shown: bool `(samples, classes)`.
        count: how many.
        seed: of the order.
        labels: class names.

    Raises:
        ValueError: if there are too few samples, no image shows a class, or the images are too few to show them all.
    """
    random_choice(len(shown), count, seed)  # refuses too few samples
    missing = [label for label, found in zip(labels, shown.any(0), strict=True) if not found]
    if missing:
        raise ValueError(
            f"labelled_choice: covering wants every class, but no labelled image has {', '.join(missing)} "
            f"({len(shown)} images looked at)"
        )
    frequency = shown.sum(0)
    chosen: list[int] = []
    left = np.random.default_rng(seed).permutation(len(shown)).tolist()
    while left and (len(chosen) < count or not shown[chosen].any(0).all()):
        times = shown[chosen].sum(0)
        possible = shown[left].any(0)
        wanted = min(np.flatnonzero(possible), key=lambda label: (times[label], frequency[label]), default=None)
        new = times == 0
        best = max(left, key=lambda place: (wanted is None or shown[place, wanted], (shown[place] & new).sum()))
        chosen.append(best)
        left.remove(best)
    if len(chosen) > count:
        raise ValueError(
            f"labelled_count is {count}, too few to show all {len(labels)} classes: labelled_choice: covering needs "
            f"{len(chosen)} of the {len(shown)} labelled images"
        )
    return sorted(chosen)


def balanced_choice(shares: np.ndarray, count: int, seed: int, least: float, labels: Sequence[str]) -> list[int]:
    """Positions of samples of which every class has a least share, in ascending order: the first such draw of many.

    Args:
        shares: of the classes in the pixels of each sample, or numbers of pixels, `(samples, classes)`.
        count: how many.
        seed: of the draws, each of which takes any samples.
        least: share of every class in what is labelled of the chosen samples together, 0 to 1.
        labels: class names.

    Raises:
        ValueError: if there are too few samples, or none of 10,000 draws is balanced.
    """
    random_choice(len(shares), count, seed)  # refuses too few samples
    generator = np.random.default_rng(seed)
    best, rarest = -1.0, ""
    for _ in range(DRAWS):
        chosen = generator.choice(len(shares), count, replace=False)
        found = shares[chosen].sum(0)
        found = found / max(found.sum(), np.finfo(float).tiny)
        if found.min() >= least:
            return sorted(chosen.tolist())
        if found.min() > best:
            best, rarest = found.min(), labels[found.argmin()]
    raise ValueError(
        f"labelled_choice: balanced found no {count} of the {len(shares)} labelled images of whose pixels every class "
        f"has {least:.1%}; the best of {DRAWS:,} draws has {best:.1%} of {rarest}: lower least_share, or use more"
    )


def shown_classes(shares: np.ndarray) -> np.ndarray:
    """Which image shows which class, bool `(samples, classes)`, from the shares of the classes in its pixels."""
    enough = shares >= PRESENT
    return np.where(enough.any(0), enough, shares > 0)


def class_shares(dataset: Any, num_labels: int, ignore_index: int) -> np.ndarray:
    """Share of each class in the pixels of every image, `(samples, classes)`, from all masks.

    Raises:
        ValueError: if a mask holds something else than classes.
    """
    shares = np.zeros((len(dataset), num_labels))
    columns = dataset.select_columns(["id", "mask"]) if hasattr(dataset, "select_columns") else dataset
    for place, sample in enumerate(tqdm(columns, "classes of the labelled images", leave=False)):
        mask = checked_mask(np.asarray(sample["mask"]), num_labels, ignore_index, str(sample["id"]))
        shares[place] = np.bincount(mask.ravel(), minlength=256)[:num_labels] / mask.size
    return shares


def listed_choice(ids: Sequence[str], wanted: Sequence[str], count: int | None, source: str) -> list[int]:
    """Positions of the first `count` wanted names, in the order of the list; all of them without a count.

    Raises:
        ValueError: for a name that comes twice or is none of the dataset's, or too few names.
    """
    if count is not None and count > len(wanted):
        raise ValueError(f"labelled_count is {count}, but {source} names {len(wanted)} images")
    places = {name: place for place, name in enumerate(ids)}
    unknown = [name for name in wanted if name not in places]
    if unknown:
        raise ValueError(
            f"{source} names {len(unknown)} images that the labelled dataset does not have, such as {unknown[0]!r}; "
            f"its ids look like {ids[0]!r}"
        )
    if len(set(wanted)) < len(wanted):
        repeated = next(name for name in wanted if list(wanted).count(name) > 1)
        raise ValueError(f"{source} names {repeated!r} more than once")
    return [places[name] for name in wanted[:count]]


def read_names(path: Path) -> list[str]:
    """The ids of a text file, one a line.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not text, or empty.
    """
    if not path.is_file():
        raise FileNotFoundError(f"labelled_list: there is no file {path}; expected text with an id per line")
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}); expected an id per line") from error
    if not names:
        raise ValueError(f"{path} names no images; expected an id per line")
    return names


def curated_names(folder: Path, known: Sequence[str]) -> list[str]:
    """The ids of the images that a curation chose, best first; of an image with several patches once.

    Args:
        folder: `selection` in the folder of a curation.
        known: ids of the dataset; those of a curation may begin with the name of their source.

    Raises:
        FileNotFoundError: if there is no selection.
    """
    path = folder / SELECTION_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"labelled_choice: curated wants labelled_list to be the folder of a selection of `s5-hf curate`; there "
            f"is no {path}"
        )
    ids = set(known)
    names = []
    for name in pq.read_table(path, columns=["id"])["id"].to_pylist():
        image = name.rpartition("@")[0] or name  # a patch is called IMAGE@LEFT,TOP
        names.append(image if image in ids else image.partition("/")[2] or image)
    return list(dict.fromkeys(names))
