"""Step 2, `cluster`: prototypes from the scores of the labelled images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from .prototypes import MINI_BATCH_ABOVE, Prototypes, cluster_features, compare_cluster_counts
from .score_table import ScoreFolder, feature_matrix

__all__ = ["ClusterSettings", "cluster"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterSettings:
    """How the labelled images are clustered.

    Attributes:
        num_clusters: M. The paper leaves it open.
        compare: other numbers of clusters to report inertia and silhouette for.
        seed: of K-Means.
        mini_batch_above: number of patches above which MiniBatchKMeans is used.
        missing_classes: what to do about a class that no labelled pixel has: `"raise"`, as the segmenter cannot have
            learnt it, or `"ignore"`.
    """

    num_clusters: int = 16
    compare: Sequence[int] = ()
    seed: int = 0
    mini_batch_above: int = MINI_BATCH_ABOVE
    missing_classes: str = "raise"

    def __post_init__(self) -> None:
        if self.missing_classes not in ("raise", "ignore"):
            raise ValueError(f"missing_classes must be raise or ignore, got {self.missing_classes!r}")
        if isinstance(self.compare, int):
            raise ValueError(f"compare must be a list of numbers of clusters, got {self.compare}")


def cluster(labelled: ScoreFolder, output: str | Path, settings: ClusterSettings | None = None) -> Prototypes:
    """Cluster the features of labelled images and save the prototypes.

    Args:
        labelled: scores of the labelled images, by the segmenter that scores the candidates too.
        output: the safetensors file.
        settings: by default `ClusterSettings()`.

    Returns:
        The prototypes.

    Raises:
        ValueError: if there are no usable images, fewer than clusters, or a class has no labelled pixel.
    """
    settings = settings or ClusterSettings()
    features = _labelled_features(labelled)
    missing = _missing_classes(labelled)
    if missing and settings.missing_classes == "raise":
        raise ValueError(
            f"no labelled image in {labelled.path} shows the class{'es' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}: add some, or accept it with missing_classes=ignore"
        )
    compared = compare_cluster_counts(features, settings.compare, settings.seed, settings.mini_batch_above)
    centres, counts, _ = cluster_features(features, settings.num_clusters, settings.seed, settings.mini_batch_above)
    prototypes = Prototypes(centres, counts, labelled.metadata["fingerprint"], compared)
    prototypes.save(output)
    return prototypes


def _labelled_features(labelled: ScoreFolder) -> np.ndarray:
    pieces, problems = [], []
    for table in labelled.batches(["id", "feature", "problem"]):
        usable = table.filter(pc.is_null(table["problem"]))
        problems += table.filter(pc.is_valid(table["problem"]))["id"].to_pylist()
        if len(usable):
            pieces.append(feature_matrix(usable["feature"]))
    if not pieces:
        raise ValueError(f"{labelled.path} holds no usable labelled image, but {len(problems)} with problems")
    if problems:
        logger.warning("%d labelled patches have no scores and are left out, such as %s", len(problems), problems[0])
    return np.concatenate(pieces)


def _missing_classes(labelled: ScoreFolder) -> list[str]:
    """Classes without a pixel in the masks; none where there are no masks."""
    totals = np.zeros(len(labelled.labels), dtype=np.int64)
    for table in labelled.batches(["label_counts"]):
        known = table["label_counts"].drop_null()
        if len(known):
            totals += feature_matrix(known).sum(axis=0, dtype=np.int64)
    if not totals.any():
        return []
    return [label for label, total in zip(labelled.labels, totals, strict=True) if total == 0]
