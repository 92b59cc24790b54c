"""Step 3, `select`: from score files and prototypes to a list of chosen patches and the facts about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from ..files.atomic import atomic_file
from .prototypes import Prototypes, assign
from .score_table import ENTROPY_COLUMNS, ScoreFolder, feature_matrix
from .selection import REASONS, Candidates, Selection, SelectionSettings, select_patches
from .step_folder import read_facts, write_facts

__all__ = ["SelectionFolder", "make_selection", "read_candidates"]

SUMMARY_FILE, CHOSEN_FILE, LEFT_OUT_FILE = "summary.json", "selection.parquet", "left_out.parquet"
_PLACE = ("id", "source", "image", "left", "top", "width", "height")
_HISTOGRAM_BINS = 60
_EXAMPLES = 16
_FEATURE_HASH_SEED = 0


@dataclass(frozen=True)
class SelectionFolder:
    """A finished selection.

    Attributes:
        path: the folder.
        summary: settings and facts, what the report shows.
    """

    path: Path
    summary: dict

    @classmethod
    def open(cls, path: str | Path) -> SelectionFolder:
        """Open a folder that `select` wrote.

        Raises:
            FileNotFoundError: if it is not one.
        """
        path = Path(path)
        return cls(path, read_facts(path / SUMMARY_FILE, "selection", "select"))

    def chosen(self) -> pa.Table:
        """The chosen patches in the order of the walk: place, `row` in the scores, `entropy`, `cluster` and more."""
        return pq.read_table(self.path / CHOSEN_FILE)

    def left_out(self) -> pa.Table:
        """Some examples for each reason why candidates were not chosen."""
        return pq.read_table(self.path / LEFT_OUT_FILE)


def make_selection(
    scores: ScoreFolder,
    output: str | Path,
    settings: SelectionSettings,
    prototypes: Prototypes | None = None,
    excluded_ids: pa.Array | None = None,
    excluded_hashes: np.ndarray | None = None,
) -> SelectionFolder:
    """Select patches and write `selection.parquet`, `left_out.parquet` and `summary.json`.

    An earlier selection in the folder is replaced.

    Args:
        scores: of the candidates.
        output: folder for the selection.
        settings: how many and how.
        prototypes: of the labelled images; may be left out for the strategies `random` and `entropy`.
        excluded_ids, excluded_hashes: what must not be chosen, see `exclusion`.

    Raises:
        ValueError: if the prototypes come from another model, or too few candidates are left.
    """
    _check_prototypes(scores, prototypes, settings)
    candidates, class_counts = read_candidates(scores, settings, prototypes)
    counts = None if prototypes is None else prototypes.counts
    selection = select_patches(candidates, settings, counts, excluded_ids, excluded_hashes)
    chosen, left_out = _tables(scores, candidates, selection, prototypes is not None)
    summary = {
        "settings": asdict(settings),
        "labelled_counts": [] if prototypes is None else prototypes.counts.tolist(),
        "compared_cluster_counts": [] if prototypes is None else [vars(count) for count in prototypes.compared],
        "scores": scores.metadata,
        "num_candidates": len(candidates),
        "counts": dict(selection.counts),
        "quotas": selection.quotas.tolist(),
        "limits": selection.limits.tolist(),
        "filled": selection.filled.tolist(),
        "entropy_histogram": _histogram(candidates.entropy, selection.rows),
        "class_pixels": {
            "candidates": class_counts.tolist(),
            "chosen": feature_matrix(chosen["class_counts"]).sum(axis=0, dtype=np.int64).tolist(),
        },
        "digest": _digest(chosen),
    }
    output = Path(output)
    with atomic_file(output / CHOSEN_FILE) as temporary:
        pq.write_table(chosen, temporary, compression="zstd")
    with atomic_file(output / LEFT_OUT_FILE) as temporary:
        pq.write_table(left_out, temporary, compression="zstd")
    write_facts(output / SUMMARY_FILE, summary)
    return SelectionFolder.open(output)


def read_candidates(
    scores: ScoreFolder, settings: SelectionSettings, prototypes: Prototypes | None
) -> tuple[Candidates, np.ndarray]:
    """The columns that selection needs, and pixels by class over all candidates.

    Features are read, assigned to prototypes and released batch by batch: about 70 bytes per candidate stay.
    """
    background, entropy_column = scores.metadata["background"], ENTROPY_COLUMNS[settings.background]
    columns = ["id", entropy_column, "class_counts", "contrast", "coherence", "hash"]
    uses_features = prototypes is not None or settings.duplicates == "features"
    columns += ["feature"] if uses_features else []
    total = scores.num_patches
    found = {
        "entropy": np.full(total, np.nan, dtype=np.float32),
        "cluster": np.full(total, -1, dtype=np.int16),
        "similarity": np.full(total, np.nan, dtype=np.float32),
        "hash": np.zeros(total, dtype=np.uint64),
        "contrast": np.zeros(total, dtype=np.float32),
        "coherence": np.zeros(total, dtype=np.float32),
        "background_share": np.zeros(total, dtype=np.float32),
    }
    feature_hash = np.zeros(total, dtype=np.uint64) if settings.duplicates == "features" else None
    ids, class_counts, start = [], np.zeros(len(scores.labels), dtype=np.int64), 0
    with tqdm(total=total, desc="reading scores", unit="patch", unit_scale=True) as bar:
        for table in scores.batches(columns):
            rows = slice(start, start + len(table))
            start = rows.stop
            ids += table["id"].chunks
            found["entropy"][rows] = table[entropy_column].to_numpy()  # null becomes NaN
            found["hash"][rows] = pc.fill_null(table["hash"], 0).to_numpy()
            for name in ("contrast", "coherence"):
                found[name][rows] = pc.fill_null(table[name], 0).to_numpy()
            scored = np.flatnonzero(~np.isnan(found["entropy"][rows])) + rows.start
            if len(scored):
                table = table if len(scored) == len(table) else table.filter(pc.is_valid(table["class_counts"]))
                counts = feature_matrix(table["class_counts"])
                class_counts += counts.sum(axis=0, dtype=np.int64)
                if background is not None:
                    found["background_share"][scored] = counts[:, background] / counts.sum(axis=1)
                features = feature_matrix(table["feature"]) if uses_features else None
                if prototypes is not None:
                    found["cluster"][scored], found["similarity"][scored] = assign(features, prototypes.centres)
                if feature_hash is not None:
                    feature_hash[scored] = _feature_hashes(features, prototypes)
            bar.update(rows.stop - rows.start)
    perceptual = found.pop("hash")
    candidates = Candidates(
        ids=pa.chunked_array(ids, pa.string()),
        position=np.arange(total),
        hash=perceptual if feature_hash is None else feature_hash,
        perceptual_hash=perceptual,
        **found,
    )
    return candidates, class_counts


def _check_prototypes(scores: ScoreFolder, prototypes: Prototypes | None, settings: SelectionSettings) -> None:
    if prototypes is None:
        if settings.uses_clusters:
            raise ValueError(f"the strategy {settings.strategy} needs prototypes: run s5-hf curate cluster first")
        return
    channels = scores.metadata["feature_size"]
    if prototypes.centres.shape[1] != channels:
        raise ValueError(
            f"the prototypes have {prototypes.centres.shape[1]} channels, the scores in {scores.path} {channels}: "
            "they come from different models"
        )
    if prototypes.fingerprint != scores.metadata["fingerprint"]:
        raise ValueError(
            f"the prototypes come from the model {prototypes.fingerprint}, the scores in {scores.path} from "
            f"{scores.metadata['fingerprint']}: score both sets with the same weights, task and image processor"
        )


def _feature_hashes(features: np.ndarray, prototypes: Prototypes | None) -> np.ndarray:
    """64 signs of random projections (Charikar 2002), uint64: similar features differ in few bits.

    Features are taken relative to the mean of the labelled images, as those of one network all point much the same
    way. k different bits mean an angle of about k / 64 of half a turn.
    """
    planes = np.random.default_rng(_FEATURE_HASH_SEED).standard_normal((features.shape[1], 64)).astype(np.float32)
    centre = 0 if prototypes is None else np.average(prototypes.centres, axis=0, weights=prototypes.counts)
    bits = (features - np.float32(centre)) @ planes > 0
    return np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)


def _tables(
    scores: ScoreFolder, candidates: Candidates, selection: Selection, clustered: bool
) -> tuple[pa.Table, pa.Table]:
    """The chosen patches and examples of those left out, from one walk through the score files."""
    rows, others = selection.rows, _examples(candidates, selection)
    both = scores.take(np.concatenate([rows, others]), [*_PLACE, "confidence", "class_counts", "problem"])
    table = both.slice(0, len(rows)).drop_columns("problem")
    absent = None if clustered else np.ones(len(rows), dtype=bool)
    facts = {
        "row": pa.array(rows),
        "entropy": pa.array(candidates.entropy[rows]),
        "cluster": pa.array(candidates.cluster[rows].astype(np.int32), mask=absent),
        "similarity": pa.array(candidates.similarity[rows], mask=absent),
    }
    for name, column in facts.items():
        table = table.append_column(name, column)

    left_out = both.slice(len(rows)).drop_columns(["confidence", "class_counts"])
    left_out = left_out.append_column("entropy", pa.array(candidates.entropy[others]))
    reasons = pa.array([REASONS[reason] for reason in selection.reasons[others]], pa.string())
    left_out = left_out.append_column("reason", reasons)
    return table.replace_schema_metadata(), left_out.replace_schema_metadata()


def _examples(candidates: Candidates, selection: Selection) -> np.ndarray:
    """Per reason the candidates of lowest entropy, which the reason mattered for most; highest where not reached."""
    examples = []
    for reason, name in enumerate(REASONS):
        rows = np.flatnonzero(selection.reasons == reason) if name != "chosen" else np.empty(0, dtype=np.int64)
        sign = -1 if name == "not reached" else 1
        entropy = sign * candidates.entropy[rows]
        if len(rows) > _EXAMPLES:  # sorting millions for sixteen would be a waste
            near = np.flatnonzero(entropy <= np.partition(entropy, _EXAMPLES)[_EXAMPLES])
            rows, entropy = rows[near], entropy[near]
        examples.append(rows[np.argsort(entropy, kind="stable")[:_EXAMPLES]])
    return np.concatenate(examples)


def _histogram(entropy: np.ndarray, chosen: np.ndarray) -> dict[str, list]:
    known = entropy[~np.isnan(entropy)]
    edges = np.linspace(0.0, max(float(known.max()), 1e-6), _HISTOGRAM_BINS + 1)
    return {
        "edges": edges.tolist(),
        "candidates": np.histogram(known, edges)[0].tolist(),
        "chosen": np.histogram(entropy[chosen], edges)[0].tolist(),
    }


def _digest(chosen: pa.Table) -> str:
    """Distinguishes one selection from another: an export resumes only with its own."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("id", "entropy", "cluster"):
        digest.update(json.dumps(chosen[name].to_pylist()).encode())
    return digest.hexdigest()
