"""Step 4, `export`: the selected patches as an RS4P dataset in Parquet shards, with its card."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.sharding import write_parquet_shards
from ..dataset_builders.features import curated_features
from ..dataset_builders.shard_format import INDEX_FILE, ROW_GROUP_BYTES, SHARD_BYTES
from ..files.atomic import SUFFIX, write_text
from .patches import PatchReader
from .score_table import ScoreFolder
from .selection_folder import SelectionFolder
from .sources import ImageList
from .step_folder import claim_folder

__all__ = ["DatasetSettings", "check_same_images", "write_curated_dataset"]

FACTS_FILE = "curation.json"
_BLOCK_ROWS = 512
_CARD_HEADING = "## How it was curated"
_ENCODINGS = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True},
}


@dataclass(frozen=True)
class DatasetSettings:
    """How the dataset is written.

    Attributes:
        encoding: of patches that were cut out of a larger image: `"png"`, `"webp"` (both without loss) or `"jpeg"`
            (quality 95). Images that were taken as a whole keep their file's own bytes.
        shard_bytes: a shard is closed when its images reach this size.
        title: heading of the dataset card.
    """

    encoding: str = "png"
    shard_bytes: int = SHARD_BYTES
    title: str = "Curated patches"

    def __post_init__(self) -> None:
        if self.encoding not in _ENCODINGS:
            raise ValueError(f"encoding must be one of {', '.join(_ENCODINGS)}, got {self.encoding!r}")
        if self.shard_bytes < 1:
            raise ValueError(f"shard_bytes must be at least 1, got {self.shard_bytes}")


def write_curated_dataset(
    selection: SelectionFolder,
    scores: ScoreFolder,
    images: ImageList,
    output: str | Path,
    settings: DatasetSettings | None = None,
) -> Path:
    """Write the selected patches so that `load_dataset("rs4p-1m", data_dir=output)` and plain `datasets` load them.

    Samples come in the order of the archive. Repeating the call after a stop resumes after the last finished
    shard; repeating it when everything is done changes nothing.

    Args:
        selection: what was selected, from these scores.
        scores: with pseudo-masks if they are to be in the dataset.
        images: the sources that were scored.
        output: folder for the dataset.
        settings: by default `DatasetSettings()`.

    Returns:
        The folder.

    Raises:
        ValueError: if selection, scores and images do not belong together, or the folder holds another selection.
    """
    settings, output = settings or DatasetSettings(), Path(output)
    _check_same_scores(selection, scores)
    check_same_images(scores, images)
    facts = {
        "digest": selection.summary["digest"],
        "encoding": settings.encoding,
        "shard_bytes": settings.shard_bytes,
        "labels": scores.labels,
        "fingerprint": scores.metadata["fingerprint"],
    }
    _claim_folder(output, facts)
    if not (output / INDEX_FILE).is_file():
        samples = _Samples(selection, scores, images, settings.encoding)
        write_parquet_shards(
            samples,
            output,
            split="train",
            features=curated_features(),
            shard_bytes=settings.shard_bytes,
            row_group_bytes=min(ROW_GROUP_BYTES, settings.shard_bytes),
            title=settings.title,
        )
    _complete_card(output / "README.md", selection)
    return output


def check_same_images(scores: ScoreFolder, images: ImageList) -> None:
    """Raise a ValueError unless the scores are of these images."""
    if len(images) != scores.metadata["num_images"]:
        raise ValueError(
            f"{scores.path} holds scores of {scores.metadata['num_images']} images, the sources have {len(images)}"
        )


@dataclass(frozen=True)
class _Samples:
    """The samples in the order of the archive, read when they are asked for."""

    selection: SelectionFolder
    scores: ScoreFolder
    images: ImageList
    encoding: str

    def __len__(self) -> int:
        return self.selection.summary["counts"]["chosen"]

    def __iter__(self) -> Iterator[dict]:
        chosen = self.selection.chosen().sort_by("row")
        reader = PatchReader(self.images)
        for start in range(0, len(chosen), _BLOCK_ROWS):
            block = chosen.slice(start, _BLOCK_ROWS)
            masks = self.scores.take(block["row"].to_numpy(), ["pseudo_mask"])["pseudo_mask"].to_pylist()
            for row, mask in zip(block.to_pylist(), masks, strict=True):
                yield {
                    "image": reader.encoded(row) or _encoded(reader.patch(row), row["id"], self.encoding),
                    "id": row["id"],
                    "source": row["source"],
                    "pseudo_mask": None if mask is None else {"bytes": mask, "path": None},
                    "entropy": row["entropy"],
                    "cluster": row["cluster"],
                }


def _encoded(patch: Image.Image, name: str, encoding: str) -> dict:
    buffer = io.BytesIO()
    patch.save(buffer, **_ENCODINGS[encoding])
    return {"bytes": buffer.getvalue(), "path": f"{Path(name).name}.{encoding}"}


def _check_same_scores(selection: SelectionFolder, scores: ScoreFolder) -> None:
    if selection.summary["scores"] != scores.metadata:
        raise ValueError(f"{selection.path} was not selected from the scores in {scores.path}: select again")
    rows = selection.chosen()["row"].to_numpy()
    if scores.take(rows, ["id"])["id"].to_pylist() != selection.chosen()["id"].to_pylist():
        raise ValueError(f"the scores in {scores.path} have changed since {selection.path} was made: select again")


def _claim_folder(output: Path, facts: dict[str, object]) -> None:
    """Begin the folder, or check that it was begun with the same selection and settings."""
    file = output / FACTS_FILE
    if not file.is_file() and output.is_dir() and any(path.suffix != SUFFIX for path in output.iterdir()):
        raise ValueError(f"{output} is not empty and holds no {FACTS_FILE}; choose another folder")
    claim_folder(file, facts, "another export")


def _complete_card(card: Path, selection: SelectionFolder) -> None:
    """Add the section on curation to the card that the shard writer made."""
    text = card.read_text(encoding="utf-8")
    if _CARD_HEADING in text:
        return
    summary, settings = selection.summary, selection.summary["settings"]
    reasons = "\n".join(f"| {reason} | {count:,} |" for reason, count in summary["counts"].items() if count)
    entropy = selection.chosen()["entropy"].to_numpy()
    labels = ", ".join(f"{index} {label}" for index, label in enumerate(summary["scores"]["labels"]))
    section = f"""
{_CARD_HEADING}

{summary["counts"]["chosen"]:,} of {summary["num_candidates"]:,} patches by the strategy `{settings["strategy"]}` of S5
([arXiv 2508.12409](https://arxiv.org/abs/2508.12409)): patches in the order of their mean pixel entropy (background
{settings["background"]}), each cluster of labelled images up to its quota.

| candidates | patches |
|---|---|
{reasons}

- Entropy of the chosen patches: {entropy.min():.4f} to {entropy.max():.4f} nats, median {np.median(entropy):.4f}.
- Quotas per cluster: {summary["quotas"]}; filled: {summary["filled"]}.
- Pseudo-masks: class ids of {labels}.
- Fingerprint of the segmenter: `{summary["scores"]["fingerprint"]}`.

```python
import s5_hf
from datasets import load_dataset

dataset = load_dataset("rs4p-1m", data_dir="path/to/this/folder", split="train", streaming=True)
```
"""
    write_text(card, text + section)
