"""`prepare`: one call that cuts a dataset's raw tiles into the official crops."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..dataset_builders.registry import DatasetEntry, get_entry
from .dota import DotaCutter
from .isaid import IsaidCutter
from .isprs import potsdam_cutter, vaihingen_cutter
from .pairs import PairCutter
from .runner import TileCutter, cut_tiles, failures_message
from .unlabelled import UnlabelledCutter

__all__ = ["OPTIONS", "PREPARED_DATASETS", "PreparationSummary", "SplitCount", "prepare"]

_CUTTERS: Mapping[str, Callable[[DatasetEntry], TileCutter]] = {
    "s5-potsdam": lambda entry: potsdam_cutter(),
    "s5-vaihingen": lambda entry: vaihingen_cutter(),
    "s5-isaid": lambda entry: IsaidCutter(dict(zip(entry.palette or (), range(len(entry.labels)), strict=True))),
    "s5-dota": lambda entry: DotaCutter({config: entry.labels_of(config) for config in entry.configs}),
    "s5-million-aid": lambda entry: UnlabelledCutter(entry.name),
    "s5-samrs": lambda entry: UnlabelledCutter(entry.name),
    "s5-star": lambda entry: UnlabelledCutter(entry.name),
    "s5-levir-cd": lambda entry: PairCutter(entry.name),
    "s5-whu-cd": lambda entry: PairCutter(entry.name),
    "s5-s2looking": lambda entry: PairCutter(entry.name),
    "s5-bandon": lambda entry: PairCutter(entry.name, patch_size=1024),
}
PREPARED_DATASETS = tuple(_CUTTERS)
"""Datasets whose raw files must be cut. The others are read as their publishers give them."""

OPTIONS = (
    *("config", "imagery", "overlap", "keep_empty", "drop_empty"),
    *("color_tolerance", "patch_size", "scaling", "bands"),
)
"""What may be set; each dataset takes those that its cutter has."""


@dataclass(frozen=True)
class SplitCount:
    """The totals of one split; the fields mean what they mean in `CutTile`."""

    split: str
    tiles: int
    crops: int
    empty: int
    objects: int
    cut_off: int


@dataclass(frozen=True)
class PreparationSummary:
    """The result of `prepare`.

    Attributes:
        dataset: the dataset's name.
        splits: counts of each split, those of earlier runs included.
        skipped: tiles that an earlier run had finished.
        notes: what a user should know, such as missing official tiles.
    """

    dataset: str
    splits: tuple[SplitCount, ...]
    skipped: int
    notes: tuple[str, ...]


def prepare(
    dataset: str,
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    workers: int | None = None,
    **options: Any,
) -> PreparationSummary:
    """Cut a dataset's raw tiles, as their publisher gives them, into the official crops.

    Tiles are cut in parallel, each in one worker process, and recorded in `out` when all of their crops are there:
    the same call resumes after a stop, and cuts tiles anew whose files have changed. As new processes are started,
    a script needs the usual `if __name__ == "__main__":`; `workers=1` works without.

    Args:
        dataset: name in the registry, such as `"s5-potsdam"`.
        raw: folder that holds the publisher's files, unpacked in any subfolders.
        out: folder for the crops, afterwards the `data_dir` of `load_dataset`.
        workers: processes; as many as the machine has cores if not given.
        options: those of `OPTIONS` that the dataset's cutter has. See the cutters for their meaning.

    Raises:
        KeyError: the registry has no such dataset.
        FileNotFoundError: no tiles below `raw` (says what was looked for), or a tile without label.
        ValueError: the dataset needs no preparation, `out` lies in `raw`, an option that its cutter does not have,
            another earlier setting in `out`, or tiles that could not be cut (names each; the others are finished).
        RuntimeError: a worker process died.
    """
    entry = get_entry(dataset)
    cutter = _cutter(entry, options)
    if workers is not None and workers < 1:
        raise ValueError(f"At least 1 worker is needed, got {workers}.")
    if Path(out).resolve().is_relative_to(Path(raw).resolve()):
        raise ValueError(f"The output folder {out} lies in the folder of the raw files, {raw}. Give another one.")
    found = cutter.find_tiles(Path(raw))
    cut, failures, skipped = cut_tiles(cutter, found.tiles, Path(out), workers or os.cpu_count() or 1)
    if failures:
        raise ValueError(failures_message(failures, len(found.tiles)))
    counts: dict[str, Counter[str]] = {}
    for tile in found.tiles:
        result = cut[tile]
        counts.setdefault(tile.split, Counter()).update(
            tiles=1, crops=result.crops, empty=result.empty, objects=result.objects, cut_off=result.cut_off
        )
    splits = tuple(SplitCount(split, **count) for split, count in counts.items())
    return PreparationSummary(entry.name, splits, skipped, found.notes)


def _cutter(entry: DatasetEntry, options: Mapping[str, Any]) -> TileCutter:
    if entry.name not in _CUTTERS:
        raise ValueError(
            f"{entry.name} needs no preparation: give the folder that its publisher distributes as data_dir. "
            f"Datasets that are cut: {', '.join(PREPARED_DATASETS)}."
        )
    cutter = _CUTTERS[entry.name](entry)
    known = {field.name for field in fields(cutter)} & set(OPTIONS)
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"{entry.name} takes no option {unknown[0]!r}; it takes {', '.join(sorted(known))}.")
    return replace(cutter, **options)
