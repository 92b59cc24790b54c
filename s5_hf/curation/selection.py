"""The selection itself, on columns: who may take part, in which order, how many of each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .duplicates import first_of_near_duplicates, near_any
from .score_table import ENTROPY_COLUMNS
from .walk import hand_on_unfilled, largest_remainder, random_order, take_by_quota, walk_order

__all__ = ["REASONS", "STRATEGIES", "Candidates", "Selection", "SelectionSettings", "select_patches"]

STRATEGIES = ("random", "entropy", "diversity", "entropy+diversity")
REASONS = (
    "chosen",
    "not reached",
    "no scores",
    "excluded",
    "low contrast",
    "incoherent",
    "mostly background",
    "entropy too high",
    "unlike all prototypes",
    "near-duplicate",
)
"""What became of a candidate; `Selection.reasons` holds positions in this tuple."""


@dataclass(frozen=True)
class SelectionSettings:
    """How many patches to select, and how.

    The limits on contrast and coherence are additions to the paper's method: a segmenter can be very sure about a
    blank patch. `None` switches a limit off.

    Attributes:
        target: Bu, patches to select.
        strategy: `"entropy+diversity"` is the paper's; `"entropy"` ignores clusters, `"diversity"` takes random
            patches within the quotas, `"random"` ignores both. For the ablation.
        seed: of the random strategies.
        background: `"excluded"` leaves background's term out of the entropy as the paper does, `"renormalised"` takes
            the entropy of the softmax over the other classes, `"included"` takes all classes.
        unfilled: a cluster with too few candidates leaves its rest unfilled (`"leave"`) or passes it to the other
            clusters (`"hand_on"`).
        maximum_entropy: nats.
        maximum_background: largest share of pixels predicted as background, 0 to 1. With background excluded, a
            patch that is surely background has entropy 0 and comes first.
        minimum_similarity: smallest cosine similarity to the nearest prototype.
        minimum_contrast: smallest standard deviation of the grey levels (0 to 127.5): against blank patches.
        minimum_coherence: smallest correlation of neighbouring pixels over four scales, -1 to 1: against noise.
            Radar speckle may need less.
        duplicates: `"perceptual"` compares perceptual hashes of the pixels, `"features"` hashes of the backbone
            features, `"keep"` removes nothing. Of near-duplicates the one that comes first in the list of candidates
            stays: that of the source named first, so name the archive you trust most before the others.
        duplicate_distance: largest number of different bits, of 64, between near-duplicates.
        exclusion_distance: the same between a candidate and an excluded hash.
    """

    target: int = 1_000_000
    strategy: str = "entropy+diversity"
    seed: int = 0
    background: str = "excluded"
    unfilled: str = "leave"
    maximum_entropy: float | None = None
    maximum_background: float | None = None
    minimum_similarity: float | None = None
    minimum_contrast: float | None = 2.0
    minimum_coherence: float | None = 0.15
    duplicates: str = "perceptual"
    duplicate_distance: int = 2
    exclusion_distance: int = 2

    def __post_init__(self) -> None:
        choices = {
            "strategy": STRATEGIES,
            "background": tuple(ENTROPY_COLUMNS),
            "unfilled": ("leave", "hand_on"),
            "duplicates": ("perceptual", "features", "keep"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.target < 1:
            raise ValueError(f"target must be at least 1, got {self.target}")

    @property
    def uses_clusters(self) -> bool:
        """Whether quotas of clusters count."""
        return "diversity" in self.strategy


@dataclass(frozen=True)
class Candidates:
    """Columns of all candidates, one row each.

    Attributes:
        ids: unique names.
        position: int64, place in the list of candidates; of near-duplicates the first one stays.
        entropy: float32, of the wanted kind; NaN where there are no scores.
        cluster: int16, nearest prototype.
        similarity: float32, cosine similarity to it.
        hash: uint64, of the kind that near-duplicates are found by.
        perceptual_hash: uint64, which excluded hashes are compared with (the same array where it is the same kind).
        contrast, coherence, background_share: float32.
    """

    ids: pa.ChunkedArray
    position: np.ndarray
    entropy: np.ndarray
    cluster: np.ndarray
    similarity: np.ndarray
    hash: np.ndarray
    perceptual_hash: np.ndarray
    contrast: np.ndarray
    coherence: np.ndarray
    background_share: np.ndarray

    def __len__(self) -> int:
        return len(self.entropy)


@dataclass(frozen=True)
class Selection:
    """What was selected.

    Attributes:
        rows: int64, the chosen candidates in the order of the walk.
        reasons: uint8 per candidate, positions in `REASONS`.
        quotas: int64 per cluster, as shared out (one number where the strategy ignores clusters).
        limits: int64 per cluster, quotas after unfilled ones were handed on.
        filled: int64 per cluster, chosen.
    """

    rows: np.ndarray
    reasons: np.ndarray
    quotas: np.ndarray
    limits: np.ndarray
    filled: np.ndarray
    counts: Mapping[str, int] = field(default_factory=dict)


def select_patches(
    candidates: Candidates,
    settings: SelectionSettings,
    labelled_counts: np.ndarray | None = None,
    excluded_ids: pa.Array | None = None,
    excluded_hashes: np.ndarray | None = None,
) -> Selection:
    """Select patches by the settings.

    Args:
        candidates: all of them.
        settings: how.
        labelled_counts: labelled images per cluster; needed where the strategy uses clusters.
        excluded_ids: ids that must not be chosen.
        excluded_hashes: perceptual hashes (uint64) of pictures that must not be chosen, such as evaluation images.

    Raises:
        ValueError: if ids are not unique, or fewer candidates than `target` are left.
    """
    if settings.uses_clusters and labelled_counts is None:
        raise ValueError(f"the strategy {settings.strategy} needs prototypes")
    _check_unique(candidates.ids)
    reasons = _filtered(candidates, settings, excluded_ids, excluded_hashes)
    if settings.duplicates != "keep":
        listed = np.flatnonzero(reasons == 0)
        listed = listed[np.argsort(candidates.position[listed], kind="stable")]
        stays = first_of_near_duplicates(candidates.hash[listed], settings.duplicate_distance)
        reasons[listed[~stays]] = REASONS.index("near-duplicate")
    order = _order(candidates, settings, np.flatnonzero(reasons == 0))
    if len(order) < settings.target:
        raise ValueError(
            f"{settings.target} patches are wanted, but only {len(order)} of {len(candidates)} candidates are left "
            f"({_described(reasons)}): lower the target, add images or loosen the limits"
        )
    weights = np.asarray(labelled_counts) if settings.uses_clusters else np.ones(1, dtype=np.int64)
    clusters = candidates.cluster if settings.uses_clusters else np.zeros(len(candidates), dtype=np.int16)
    quotas = limits = largest_remainder(settings.target, weights)
    if settings.unfilled == "hand_on":
        available = np.bincount(clusters[order], minlength=len(weights))
        limits = hand_on_unfilled(quotas, available, weights)
    rows = take_by_quota(order, clusters, limits)
    reasons[order] = REASONS.index("not reached")
    reasons[rows] = REASONS.index("chosen")
    counts = np.bincount(reasons, minlength=len(REASONS)).tolist()
    filled = np.bincount(clusters[rows], minlength=len(weights))
    return Selection(rows, reasons, quotas, limits, filled, dict(zip(REASONS, counts, strict=True)))


def _filtered(
    candidates: Candidates,
    settings: SelectionSettings,
    excluded_ids: pa.Array | None,
    excluded_hashes: np.ndarray | None,
) -> np.ndarray:
    """The first reason against each candidate, 0 where there is none."""
    reasons = np.zeros(len(candidates), dtype=np.uint8)

    def leave_out(reason: str, rows: np.ndarray) -> None:
        reasons[rows & (reasons == 0)] = REASONS.index(reason)

    leave_out("no scores", np.isnan(candidates.entropy))
    if excluded_ids is not None and len(excluded_ids):
        excluded = pc.is_in(candidates.ids, value_set=excluded_ids)
        leave_out("excluded", excluded.to_numpy().astype(bool))
    if excluded_hashes is not None and len(excluded_hashes):
        near = near_any(candidates.perceptual_hash, excluded_hashes, settings.exclusion_distance)
        leave_out("excluded", near)
    limits = (
        ("low contrast", candidates.contrast, settings.minimum_contrast, np.less),
        ("incoherent", candidates.coherence, settings.minimum_coherence, np.less),
        ("mostly background", candidates.background_share, settings.maximum_background, np.greater),
        ("entropy too high", candidates.entropy, settings.maximum_entropy, np.greater),
        ("unlike all prototypes", candidates.similarity, settings.minimum_similarity, np.less),
    )
    for reason, values, limit, beyond in limits:
        if limit is not None:
            leave_out(reason, beyond(values, limit))
    return reasons


def _order(candidates: Candidates, settings: SelectionSettings, rows: np.ndarray) -> np.ndarray:
    """The usable rows in the order of the walk."""
    everyone = len(rows) == len(candidates)
    ids = candidates.ids if everyone else candidates.ids.take(pa.array(rows))
    if settings.strategy.startswith("entropy"):
        order = walk_order(candidates.entropy[rows], ids)
    else:
        order = random_order(ids, settings.seed)
    return order if everyone else rows[order]


def _check_unique(ids: pa.ChunkedArray) -> None:
    if len(ids) == 0:
        raise ValueError("there are no candidates")
    distinct = pc.count_distinct(ids).as_py()
    if distinct != len(ids):
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"].as_py()
        raise ValueError(
            f"{len(ids) - distinct} of {len(ids)} ids appear more than once, such as {twice!r}: "
            "give each source a name of its own"
        )


def _described(reasons: np.ndarray) -> str:
    counts = np.bincount(reasons, minlength=len(REASONS)).tolist()
    found = [f"{name}: {count}" for name, count in zip(REASONS[2:], counts[2:], strict=True) if count]
    return ", ".join(found) or "none were left out"
