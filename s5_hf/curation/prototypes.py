"""Step 2, `cluster`: K-Means prototypes of the labelled images, and the most similar one of each patch."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from safetensors import safe_open
from safetensors.numpy import save_file

from ..files.atomic import atomic_file
from .score_table import ScoreFolder, feature_matrix

__all__ = [
    "ClusterCount",
    "ClusterSettings",
    "Prototypes",
    "assign",
    "cluster_features",
    "compare_cluster_counts",
    "make_prototypes",
]

logger = logging.getLogger(__name__)

MINI_BATCH_ABOVE = 50_000
_RESTARTS = 10
_SILHOUETTE_SAMPLE = 5_000
_BLOCK_ROWS = 65_536
_METADATA_KEY = "s5_hf.curation"


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


@dataclass(frozen=True)
class ClusterCount:
    """How well a number of clusters fits.

    Attributes:
        num_clusters: M.
        inertia: sum of squared distances to the nearest centre; it always falls with M.
        silhouette: mean silhouette (Rousseeuw 1987) in -1..1, higher is better; of a seeded sample if there are many.
    """

    num_clusters: int
    inertia: float
    silhouette: float


@dataclass(frozen=True)
class Prototypes:
    """Centres of clusters of labelled images.

    Attributes:
        centres: float32 `(clusters, channels)`, each of length 1.
        counts: int64 `(clusters,)`, labelled images that are most similar to each, all positive.
        fingerprint: of the model that made the features.
        compared: what was found for other numbers of clusters.
    """

    centres: np.ndarray
    counts: np.ndarray
    fingerprint: str
    compared: tuple[ClusterCount, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write a safetensors file with the facts as metadata."""
        facts = {"fingerprint": self.fingerprint, "compared": [vars(count) for count in self.compared]}
        with atomic_file(path) as temporary:
            # One entry: safetensors writes several in any order, and equal prototypes should be equal files.
            tensors = {"centres": self.centres, "counts": self.counts}
            save_file(tensors, temporary, metadata={_METADATA_KEY: json.dumps(facts)})

    @classmethod
    def load(cls, path: str | Path) -> Prototypes:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it holds something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there are no prototypes at {path}: run s5-hf curate cluster first")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if set(file.keys()) != {"centres", "counts"} or _METADATA_KEY not in metadata:
                raise ValueError(f"{path} holds no prototypes, but the tensors {sorted(file.keys())}")
            facts = json.loads(metadata[_METADATA_KEY])
            compared = tuple(ClusterCount(**count) for count in facts["compared"])
            return cls(file.get_tensor("centres"), file.get_tensor("counts"), facts["fingerprint"], compared)


def make_prototypes(labelled: ScoreFolder, output: str | Path, settings: ClusterSettings | None = None) -> Prototypes:
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


def cluster_features(
    features: np.ndarray, num_clusters: int, seed: int = 0, mini_batch_above: int = MINI_BATCH_ABOVE
) -> tuple[np.ndarray, np.ndarray, float]:
    """K-Means on features of length 1.

    The counts use the rule by which patches are assigned later, cosine similarity to the centres scaled to length 1.

    Args:
        features: float32 `(images, channels)`; they are scaled to length 1 here.
        num_clusters: M, from 1 to the number of images.
        seed: of the initial centres.
        mini_batch_above: number of images above which MiniBatchKMeans is used.

    Returns:
        centres float32 `(clusters, channels)`, counts int64 `(clusters,)` and the inertia.

    Raises:
        ValueError: for a number of clusters out of range, or a cluster that no image is most similar to.
    """
    features = _normalised(features)
    fitted = _fit(features, num_clusters, seed, mini_batch_above)
    centres = _normalised(fitted.cluster_centers_)
    counts = np.bincount(assign(features, centres)[0], minlength=num_clusters)
    if not counts.all():
        empty = np.flatnonzero(counts == 0).tolist()
        raise ValueError(
            f"of {num_clusters} clusters, {len(empty)} have no labelled image (the first: {empty[0]}): "
            f"the {len(features)} labelled images do not support so many, choose fewer"
        )
    return centres, counts.astype(np.int64), float(fitted.inertia_)


def compare_cluster_counts(
    features: np.ndarray, candidates: Sequence[int], seed: int = 0, mini_batch_above: int = MINI_BATCH_ABOVE
) -> tuple[ClusterCount, ...]:
    """Inertia and silhouette for several numbers of clusters, so that one can be chosen.

    Args: as `cluster_features`; numbers must lie in 2..images - 1, which the silhouette needs.

    Raises:
        ValueError: for a number out of range.
    """
    from sklearn.metrics import silhouette_score

    features = _normalised(features)
    found = []
    for num_clusters in candidates:
        if not 2 <= num_clusters < len(features):
            raise ValueError(
                f"compared numbers of clusters must lie in 2..{len(features) - 1} for {len(features)} labelled "
                f"images, got {num_clusters}"
            )
        fitted = _fit(features, num_clusters, seed, mini_batch_above)
        sample = min(_SILHOUETTE_SAMPLE, len(features))
        silhouette = silhouette_score(features, fitted.labels_, sample_size=sample, random_state=seed)
        found.append(ClusterCount(num_clusters, float(fitted.inertia_), float(silhouette)))
    return tuple(found)


def assign(features: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most similar centre of each feature, by cosine similarity; of equal ones the first.

    Args:
        features: float32 `(rows, channels)` of length 1.
        centres: float32 `(clusters, channels)` of length 1.

    Returns:
        int32 `(rows,)` and the similarity, float32 `(rows,)`.

    Raises:
        ValueError: if the numbers of channels differ.
    """
    if features.shape[1] != centres.shape[1]:
        raise ValueError(
            f"the features have {features.shape[1]} channels, the prototypes {centres.shape[1]}: "
            "they come from different models"
        )
    nearest = np.empty(len(features), dtype=np.int32)
    similarity = np.empty(len(features), dtype=np.float32)
    for start in range(0, len(features), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        cosines = features[rows] @ centres.T
        nearest[rows] = cosines.argmax(axis=1)
        similarity[rows] = cosines.max(axis=1)
    return nearest, similarity


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


def _fit(features: np.ndarray, num_clusters: int, seed: int, mini_batch_above: int):
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if not 1 <= num_clusters <= len(features):
        raise ValueError(
            f"the number of clusters must lie in 1..{len(features)}, the number of labelled images, got {num_clusters}"
        )
    kind = MiniBatchKMeans if len(features) > mini_batch_above else KMeans
    return kind(n_clusters=num_clusters, n_init=_RESTARTS, random_state=seed).fit(features)


def _normalised(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
