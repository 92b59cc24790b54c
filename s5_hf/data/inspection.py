"""Looking through a dataset before training on it: counts, sizes, class shares, and every file that is wrong."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any

import numpy as np
from datasets import Image
from tqdm import tqdm

from ..dataset_builders.band_images import decode_column
from ..dataset_builders.errors import CorruptImageError, SampleError
from ..dataset_builders.images import decode
from ..dataset_builders.masks import ONE_CHANNEL_MODES
from ..dataset_builders.registry import DatasetEntry
from ..dataset_builders.shards import Sample, Shard
from ..files.processes import worker_pool
from ..imaging.decoded_pixels import has_8_bits, image_kind
from ..imaging.polygon_clipping import inside_shares
from ..imaging.windows import Window
from .dataset_folder import DatasetFolder

__all__ = ["InspectionReport", "Problem", "SplitReport", "inspect_folder"]

BOX_INSIDE_SHARE = 0.7
"""A box of which less lies on its image counts as outside. Patches of DOTA keep boxes down to this share."""

_SINGLE_PROCESS_SHARDS = 4
_SHOWN_VALUES = 5


@dataclass(frozen=True)
class Problem:
    """Something wrong with one sample or shard.

    Attributes:
        kind: `"unreadable"`, `"sample"` (what the builder refuses, such as a mask of another size), `"image values"`
            (not 8 bits per channel), `"mask values"`, `"box outside"`, `"box without area"`, `"node outside"` (of a
            road graph) or `"duplicate id"`.
        split: its split.
        place: the sample's id or file, or the shard's name.
        message: what was seen and what was expected.
    """

    kind: str
    split: str
    place: str
    message: str


@dataclass
class SplitReport:
    """What one split holds.

    Attributes:
        samples: samples that could be read.
        sizes: how many images have a size (width, height), in pixels.
        kinds: how many have so many channels of a type, such as `4 x uint16`.
        classes: per class id, the number of pixels, or of boxes in a detection dataset.
        ignored: pixels without a class, or boxes marked difficult.
        without_boxes: images without any box.
        edges: of road graphs.
        without_roads: images whose graph has no edge.
        lossy_masks: masks that are JPEG files, whose class ids near edges are not to be trusted.
    """

    split: str
    samples: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    ignored: int = 0
    without_boxes: int = 0
    edges: int = 0
    without_roads: int = 0
    lossy_masks: int = 0

    def add(self, other: "SplitReport") -> None:
        """Take in the counts of another part of the same split."""
        for count in fields(self):
            if count.name != "split":
                setattr(self, count.name, getattr(self, count.name) + getattr(other, count.name))

    def share(self, class_id: int) -> float:
        """Share of a class among all pixels or boxes that have a class, in 0..1."""
        return self.classes[class_id] / max(1, self.classes.total())


@dataclass(frozen=True)
class InspectionReport:
    """The result of `inspect_folder`; sound when `problems` is empty."""

    entry: DatasetEntry
    labels: tuple[str, ...]
    splits: tuple[SplitReport, ...]
    problems: tuple[Problem, ...]

    @property
    def warnings(self) -> list[str]:
        """What is accepted and yet likely to do harm, one line each."""
        return [
            f"{split.split}: JPEG masks: {split.lossy_masks}. JPEG changes values, so class ids near edges are not to "
            "be trusted; save masks as PNG or TIFF."
            for split in self.splits
            if split.lossy_masks
        ]


def inspect_folder(folder: DatasetFolder, limit: int | None = None, workers: int | None = None) -> InspectionReport:
    """Read and check every sample: nothing stops at the first problem.

    Args:
        folder: from `open_folder`.
        limit: look at only this many samples of each split, from its beginning.
        workers: processes; one per core if not given, and this process alone for a few files. Scripts need the usual
            `if __name__ == "__main__":` when there are several.

    Raises:
        ValueError: `limit` or `workers` is below 1.
    """
    for name, value in (("limit", limit), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    check = _ShardCheck(
        len(folder.labels), folder.ignore_index, folder.images, folder.image_columns, folder.mask_columns
    )
    splits, problems = [], []
    for split, shards in folder.shards.items():
        total, ids = SplitReport(split), set()
        for report, found, names in _checked_shards(check, split, shards, limit, workers):
            total.add(report)
            problems.extend(found)
            for name in names:
                if name in ids:
                    problems.append(Problem("duplicate id", split, name, "the id appears more than once"))
                ids.add(name)
        splits.append(total)
    return InspectionReport(folder.entry, folder.labels, tuple(splits), tuple(problems))


_Checked = tuple[SplitReport, list[Problem], list[str]]


def _checked_shards(
    check: "_ShardCheck", split: str, shards: Sequence[Shard], limit: int | None, workers: int | None
) -> Iterator[_Checked]:
    """Check shards in order, in this process where a limit or their small number makes others not worth starting."""
    workers = workers or (1 if len(shards) <= _SINGLE_PROCESS_SHARDS else os.cpu_count() or 1)
    with tqdm(total=len(shards), unit="shard", desc=f"inspecting {split}") as progress:
        if workers == 1 or limit is not None:
            for shard in shards:
                checked = check(shard, split, limit)
                progress.update()
                yield checked
                if limit is not None:
                    limit -= checked[0].samples
                    if limit <= 0:
                        break
            return
        with worker_pool(min(workers, len(shards))) as pool:
            for start in range(0, len(shards), 4 * workers):
                part = shards[start : start + 4 * workers]
                for checked in pool.map(check, part, [split] * len(part)):
                    progress.update()
                    yield checked


@dataclass(frozen=True)
class _ShardCheck:
    """Reads one shard and checks its samples; can be sent to another process."""

    classes: int
    ignore_index: int | None
    images: Image
    image_columns: tuple[str, ...]
    mask_columns: tuple[str, ...]

    def __call__(self, shard: Shard, split: str, limit: int | None = None) -> _Checked:
        report, problems, ids = SplitReport(split), [], []
        rows = _rows_of(shard, split, problems)
        for sample in rows if limit is None else islice(rows, limit):
            ids.append(sample["id"])
            problems.extend(self._check(sample, report))
        return report, problems, ids

    def _check(self, sample: Sample, report: SplitReport) -> Iterator[Problem]:
        sizes = []
        for column in self.image_columns:
            try:
                image = decode_column(self.images, sample[column], sample["id"])
            except CorruptImageError as error:
                reason, what = error.__cause__ or error, column.replace("_", " ")
                yield Problem("unreadable", report.split, sample["id"], f"its {what} cannot be decoded: {reason}")
                return
            sizes.append((image.shape[1], image.shape[0]) if isinstance(image, np.ndarray) else image.size)
            yield from self._check_values(image, sample["id"], report)
        size = sizes[0]
        if len(set(sizes)) > 1:
            yield Problem("sample", report.split, sample["id"], f"images of {sizes[0]} and {sizes[1]} px")
            return
        report.samples += 1
        report.sizes[size] += 1
        for column in self.mask_columns:
            if sample.get(column) is not None:
                yield from self._check_mask(sample, column, size, report)
        if "objects" in sample:
            yield from self._check_objects(sample, size, report)
        if "edges" in sample:
            report.edges += len(sample["edges"])
            report.without_roads += not sample["edges"]
            nodes = np.asarray(sample["nodes"], dtype=np.float64).reshape(-1, 2)
            outside = ((nodes < 0) | (nodes > size)).any(axis=1)
            if outside.any():
                first = nodes[np.argmax(outside)].tolist()
                message = (
                    f"{outside.sum()} of {len(nodes)} nodes outside {size[0]} x {size[1]} px, the first at {first}"
                )
                yield Problem("node outside", report.split, sample["id"], message)

    def _check_values(self, image: Any, name: str, report: SplitReport) -> Iterator[Problem]:
        channels, kind = image_kind(image)
        report.kinds[f"{channels} x {kind}"] += 1
        if not isinstance(image, np.ndarray) and not has_8_bits(image):
            expected = "expected 8 bits per channel; training and evaluation refuse it, so scale it to 0..255"
            yield Problem("image values", report.split, name, f"image of mode {image.mode!r}, {expected}")

    def _check_mask(
        self, sample: Sample, column: str, size: tuple[int, int], report: SplitReport
    ) -> Iterator[Problem]:
        try:
            mask = decode(sample[column], sample["id"])
        except CorruptImageError as error:
            message = f"its {column} cannot be decoded: {error.__cause__}"
            yield Problem("unreadable", report.split, sample["id"], message)
            return
        if mask.size != size:
            yield Problem("sample", report.split, sample["id"], f"image of {size}, {column} of {mask.size} px")
            return
        if mask.mode not in ONE_CHANNEL_MODES:
            message = f"{column} of mode {mask.mode!r}, expected one channel of class ids"
            yield Problem("mask values", report.split, sample["id"], message)
            return
        report.lossy_masks += mask.format == "JPEG"
        values, counts = np.unique(np.asarray(mask), return_counts=True)
        wrong = []
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value == self.ignore_index:
                report.ignored += count
            elif self.classes == 0 or value < self.classes:
                report.classes[value] += count
            else:
                wrong.append(f"{value} in {count} pixels")
        if wrong:
            shown = ", ".join(wrong[:_SHOWN_VALUES]) + (" ..." if len(wrong) > _SHOWN_VALUES else "")
            expected = f"0 to {self.classes - 1}, or {self.ignore_index} to be ignored"
            yield Problem("mask values", report.split, sample["id"], f"{column} holds {shown}; expected {expected}")

    def _check_objects(self, sample: Sample, size: tuple[int, int], report: SplitReport) -> Iterator[Problem]:
        objects = sample["objects"]
        report.classes.update(objects["category"])
        report.ignored += sum(objects["difficult"])
        report.without_boxes += not objects["category"]
        polygons = np.asarray(objects["polygon"], dtype=np.float64).reshape(-1, 4, 2)
        shares = inside_shares(polygons, Window(0, 0, *size))
        for number, (share, box) in enumerate(zip(shares, objects["obb"], strict=True), start=1):
            corners = polygons[number - 1].ravel().tolist()
            if min(box[2:4]) <= 0:
                yield Problem("box without area", report.split, sample["id"], f"box {number}, corners {corners}")
            elif share < BOX_INSIDE_SHARE - 1e-3:
                message = f"box {number}, {share:.0%} of it inside {size[0]} x {size[1]} px, corners {corners}"
                yield Problem("box outside", report.split, sample["id"], message)


def _rows_of(shard: Shard, split: str, problems: list[Problem]) -> Iterator[Sample]:
    """The samples of a shard; those that cannot be read become problems."""
    try:
        for block in shard.stream():
            for row in range(len(block)):
                try:
                    yield block[row]
                except SampleError as error:
                    problems.append(Problem("sample", split, shard.name, str(error)))
                except FileNotFoundError as error:
                    problems.append(Problem("unreadable", split, shard.name, str(error)))
    except (OSError, SampleError) as error:
        problems.append(Problem("unreadable", split, shard.name, str(error)))
