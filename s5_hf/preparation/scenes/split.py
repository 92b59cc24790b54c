"""Which blocks or scenes are for training, validation and test: by share, and with every class in each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .settings import PARTS

__all__ = ["assign_parts"]

_TRIALS = 256


def assign_parts(
    counts: np.ndarray, groups: Sequence[int], fixed: Sequence[str | None], shares: Mapping[str, float], seed: int
) -> list[str]:
    """The part of each unit, a block or a scene.

    Of many random choices, the one is taken in which every class is shared out most nearly as asked.

    Args:
        counts: of labelled pixels, `(units, classes)`.
        groups: units of the same number lie on the same ground and go to the same part.
        fixed: the part of units that are decided already, None for the others.
        shares: of each part of `PARTS` among the others; they add up to 1.
        seed: of the random choices.

    Returns:
        A name of `PARTS` for each unit. Units without any label, which have no say, are shared out too.

    Raises:
        ValueError: there are fewer groups with labels than parts.
    """
    decided = {group: part for group, part in zip(groups, fixed, strict=True) if part is not None}
    free = sorted(set(groups) - set(decided))
    totals = {group: np.zeros(counts.shape[1]) for group in free}
    for group, row in zip(groups, counts, strict=True):
        if group in totals:
            totals[group] += row
    matrix = np.stack([totals[group] for group in free]) if free else np.zeros((0, counts.shape[1]))
    labelled = np.flatnonzero(matrix.sum(axis=1) > 0)
    wanted = [part for part in PARTS if shares[part] > 0 and not (part == "train" and not free)]
    if len(labelled) < len(wanted) and free:
        raise ValueError(
            f"there are {len(labelled)} blocks or scenes with labels to share out among {', '.join(wanted)}; give "
            "smaller blocks or tiles, name scenes for a part, or set the share of a part to 0"
        )
    parts = dict(decided)
    parts.update(dict.fromkeys(free, "train"))
    if free:
        chosen = _best_choice(matrix, labelled, [shares[part] for part in wanted], np.random.default_rng(seed))
        parts.update({group: wanted[index] for group, index in zip(free, chosen, strict=True)})
    return [parts[group] for group in groups]


def _best_choice(
    matrix: np.ndarray, labelled: np.ndarray, shares: Sequence[float], random: np.random.Generator
) -> list[int]:
    """The index of the share of each row, such that the columns are shared out as asked, as nearly as found."""
    weights = matrix.sum(axis=1)
    of_classes = matrix / np.maximum(matrix.sum(axis=0), 1e-9)
    present = matrix.sum(axis=0) > 0
    targets = np.asarray(shares)
    best, best_error = np.zeros(len(matrix), dtype=np.int64), np.inf
    for _ in range(_TRIALS):
        choice = _one_choice(weights, labelled, targets, random)
        reached = np.stack([of_classes[choice == index].sum(axis=0) for index in range(len(targets))])
        # A class that a part lacks altogether weighs more than one that is a little too rare there.
        error = np.abs(reached - targets[:, None])[:, present].sum() + (reached[:, present] == 0).sum()
        if error < best_error:
            best, best_error = choice, error
    return best.tolist()


def _one_choice(
    weights: np.ndarray, labelled: np.ndarray, targets: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """A random choice: one labelled row for each part, the others to the part that lacks most."""
    choice = np.full(len(weights), -1)
    order = random.permutation(len(weights))
    first = random.permutation(labelled)[: len(targets)]
    choice[first] = np.arange(len(first))
    reached = np.zeros(len(targets))
    np.add.at(reached, choice[first], weights[first])
    total = max(weights.sum(), 1e-9)
    for row in order:
        if choice[row] < 0:
            lacking = targets - reached / total if weights[row] else targets * random.random(len(targets))
            choice[row] = int(np.argmax(lacking))
            reached[choice[row]] += weights[row]
    return choice
