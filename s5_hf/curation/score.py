"""Step 1, `score`: a segmenter over all patches of an archive, on one process or many, resumable.

The list of images is cut into parts of a fixed number of images. Processes take unfinished parts in turn, and each
part becomes one Parquet file, written under a temporary name first. A part's content depends on nothing else than
its images and the model: not on the number of processes, and not on what was finished before. With another batch
size, number of threads or kind of device, entropies and features differ by float rounding: up to 1e-5 in fp32, 2e-2
in bf16.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm

from ..files.atomic import atomic_file, remove_leftovers
from ..files.locks import folder_lock
from ..predictors.feature_segmenter import Segmenter, background_index
from .patches import EDGES
from .score_part import PartScorer
from .score_table import DICTIONARY_COLUMNS, ROW_GROUP_ROWS, SETTINGS_FILE, ScoreFolder, part_name, score_schema
from .sources import ImageList

__all__ = ["ScoreSettings", "score"]


@dataclass(frozen=True)
class ScoreSettings:
    """How patches are cut and scored.

    Attributes:
        patch_size: side of a patch in pixels; larger images are cut, smaller ones taken as they are. `None` takes
            every image as a whole.
        stride: pixels between patches, by default `patch_size`.
        edges: where patches do not end at an image's border, `"shift"` moves the last one inwards, over others;
            `"drop"` leaves the rest of the image out.
        batch_size: patches per forward pass.
        part_size: images per part. A stopped run loses at most the part that each process was in.
        background: class left out of the entropy: its name or id, `None` for none, `"auto"` for the class called
            "background" if the model has one.
        pseudo_masks: whether to keep the predicted classes, as PNG, for `export`.
        nodata: pixels with this value in all channels do not count (black margins: 0).
        corrupt_images: those that cannot be read, or for which the model gives NaN: `"raise"`, or `"skip"` to note
            them in the scores and go on.
        threads: that decode images, per process.
    """

    patch_size: int | None = 512
    stride: int | None = None
    edges: str = "shift"
    batch_size: int = 16
    part_size: int = 1024
    background: str | int | None = "auto"
    pseudo_masks: bool = False
    nodata: int | None = None
    corrupt_images: str = "raise"
    threads: int = 4

    def __post_init__(self) -> None:
        for name in ("patch_size", "stride", "batch_size", "part_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.stride is not None and (self.patch_size is None or self.stride > self.patch_size):
            raise ValueError(f"stride {self.stride} must not exceed patch_size {self.patch_size}")
        if self.edges not in EDGES:
            raise ValueError(f"edges must be one of {', '.join(EDGES)}, got {self.edges!r}")
        if self.nodata is not None and not 0 <= self.nodata <= 255:
            raise ValueError(f"nodata must lie in 0..255, got {self.nodata}")
        if self.corrupt_images not in ("raise", "skip"):
            raise ValueError(f"corrupt_images must be raise or skip, got {self.corrupt_images!r}")


def score(
    segmenter: Segmenter,
    images: ImageList,
    output: str | Path,
    settings: ScoreSettings | None = None,
    accelerator: Accelerator | None = None,
) -> ScoreFolder:
    """Score all patches of the images; every process of the accelerator calls this.

    A call with the same arguments goes on where an earlier one was stopped.

    Args:
        segmenter: the model, on this process's device.
        images: what to score, from `open_images`.
        output: folder for the scores.
        settings: by default `ScoreSettings()`.
        accelerator: by default a new one.

    Returns:
        The finished folder, the same on all processes.

    Raises:
        ValueError: if the folder holds scores that were made with other settings, images or another model.
        CorruptImageError: for an image that cannot be read, unless `corrupt_images="skip"`.
        NonFiniteOutputError: for a patch for which the model gives NaN or infinity, unless `corrupt_images="skip"`.
        BlockingIOError: if another run scores into the folder.
    """
    settings, accelerator, output = settings or ScoreSettings(), accelerator or Accelerator(), Path(output)
    metadata = _metadata(segmenter, images, settings)
    with _claimed_folder(output, metadata, accelerator):
        _score_unfinished(segmenter, images, output, settings, metadata, accelerator)
        accelerator.wait_for_everyone()
        return ScoreFolder.open(output)


def _score_unfinished(
    segmenter: Segmenter,
    images: ImageList,
    output: Path,
    settings: ScoreSettings,
    metadata: dict[str, object],
    accelerator: Accelerator,
) -> None:
    """Score the parts that are this process's turn."""
    processes = accelerator.num_processes
    parts = _unfinished_parts(output, metadata["num_parts"], accelerator)[accelerator.process_index :: processes]
    schema = score_schema(len(segmenter.labels), metadata["feature_size"], metadata)
    ranges = {part: (part * settings.part_size, min((part + 1) * settings.part_size, len(images))) for part in parts}
    with (
        ThreadPoolExecutor(settings.threads) as pool,
        tqdm(
            total=sum(stop - start for start, stop in ranges.values()),
            desc=f"scoring ({processes} processes)" if processes > 1 else "scoring",
            unit="image",
            disable=not accelerator.is_local_main_process,
        ) as bar,
    ):
        scorer = _part_scorer(segmenter, images, settings, pool)
        for part, (start, stop) in ranges.items():
            _write_part(output / part_name(part), schema, _with_progress(scorer.rows(start, stop), bar, start, stop))


def _part_scorer(
    segmenter: Segmenter, images: ImageList, settings: ScoreSettings, pool: ThreadPoolExecutor
) -> PartScorer:
    return PartScorer(
        segmenter=segmenter,
        images=images,
        pool=pool,
        lookahead=max(2 * settings.threads, 4),
        patch_size=settings.patch_size,
        stride=settings.stride,
        edges=settings.edges,
        batch_size=settings.batch_size,
        background=background_index(segmenter.labels, settings.background),
        pseudo_masks=settings.pseudo_masks,
        nodata=settings.nodata,
        skip_corrupt=settings.corrupt_images == "skip",
    )


def _metadata(segmenter: Segmenter, images: ImageList, settings: ScoreSettings) -> dict[str, object]:
    """All that the scores depend on, and what later steps have to know."""
    return {
        "version": 1,
        "fingerprint": segmenter.fingerprint,
        "labels": segmenter.labels,
        "background": background_index(segmenter.labels, settings.background),
        "feature_size": segmenter.feature_size(settings.patch_size or 224),
        "precision": segmenter.precision,
        "patch_size": settings.patch_size,
        "stride": settings.patch_size if settings.stride is None else settings.stride,
        "edges": settings.edges,
        "nodata": settings.nodata,
        "pseudo_masks": settings.pseudo_masks,
        "part_size": settings.part_size,
        "num_images": len(images),
        "num_parts": -(-len(images) // settings.part_size),
        "sources": [source.describe() for source in images.sources],
    }


@contextmanager
def _claimed_folder(output: Path, metadata: dict[str, object], accelerator: Accelerator) -> Iterator[None]:
    """The folder for this run alone: the main process takes the lock, the others learn whether it has it."""
    with ExitStack() as held:
        refusal = None
        if accelerator.is_main_process:
            try:
                held.enter_context(folder_lock(output))
                _begin_folder(output, metadata)
            except (OSError, ValueError) as error:
                refusal = error
        refusal = broadcast_object_list([refusal])[0]
        if refusal is not None:
            raise refusal
        yield


def _begin_folder(output: Path, metadata: dict[str, object]) -> None:
    """Write the settings, or see that the folder was begun with the same; clear what a killed run left behind."""
    file = output / SETTINGS_FILE
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        different = [key for key in metadata if found.get(key) != metadata[key]]
        if different:
            key = different[0]
            raise ValueError(
                f"{output} holds scores made with other settings: {key} was {found.get(key)!r}, now it is "
                f"{metadata[key]!r}. Choose another folder or remove this one"
            )
    remove_leftovers(output)
    if not file.is_file():
        with atomic_file(file) as temporary:
            temporary.write_text(json.dumps(metadata, indent=1), encoding="utf-8")


def _unfinished_parts(output: Path, num_parts: int, accelerator: Accelerator) -> list[int]:
    """As the main process sees it: a part that another process finishes meanwhile must not shift anyone's turn."""
    parts = [part for part in range(num_parts) if not (output / part_name(part)).is_file()]
    shared = [parts if accelerator.is_main_process else None]
    return broadcast_object_list(shared)[0]


def _write_part(path: Path, schema: pa.Schema, rows: Iterable[dict]) -> None:
    rows = iter(rows)
    with (
        atomic_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=DICTIONARY_COLUMNS) as writer,
    ):
        while group := list(islice(rows, ROW_GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _with_progress(rows: Iterable[dict], bar: tqdm, start: int, stop: int) -> Iterable[dict]:
    """The rows, while the bar counts the images that they come from."""
    reached = start
    for row in rows:
        bar.update(row["image"] - reached)
        reached = row["image"]
        yield row
    bar.update(stop - reached)
