"""Step 1, `score`: a segmenter over all patches of an archive, on one process or many, resumable.

The list of images is cut into parts of a fixed number of images. Processes take unfinished parts in turn, and each
part becomes one Parquet file, written under a temporary name first. A part's content depends only on
its images and the model: not on the number of processes, and not on what was finished before. With another batch
size, number of threads or kind of device, entropies and features differ by float rounding: up to 1e-5 in fp32, 2e-2
in bf16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm

from ..files.atomic import atomic_file, remove_leftovers
from ..files.locks import folder_lock
from ..files.processes import patient_accelerator
from ..predictors.feature_segmenter import Segmenter, background_index
from .score_part import PartScorer, ScoreSettings
from .score_table import DICTIONARY_COLUMNS, ROW_GROUP_ROWS, SETTINGS_FILE, ScoreFolder, part_name, score_schema
from .sources import ImageList
from .step_folder import claim_folder

__all__ = ["score_images"]

MOST_CLASSES = 256
"""What a PNG file of 8 bits tells apart."""


def score_images(
    segmenter: Segmenter,
    images: ImageList,
    output: str | Path,
    settings: ScoreSettings | None = None,
    accelerator: Accelerator | None = None,
) -> ScoreFolder:
    """Score all patches of the images; every process of the accelerator calls this.

    A call with the same arguments resumes one that was stopped.

    Args:
        segmenter: the model, on this process's device.
        images: what to score, from `open_images`.
        output: folder for the scores.
        settings: by default `ScoreSettings()`.
        accelerator: by default a new one.

    Returns:
        The finished folder, the same on all processes.

    Raises:
        ValueError: if the folder holds scores that were made with other settings, images or another model, or
            pseudo-masks of more than 256 classes are asked for.
        CorruptImageError: for an image that cannot be read, unless `corrupt_images="skip"`.
        NonFiniteOutputError: for a patch for which the model gives NaN or infinity, unless `corrupt_images="skip"`.
        BlockingIOError: if another run scores into the folder.
    """
    settings, accelerator, output = settings or ScoreSettings(), accelerator or patient_accelerator(), Path(output)
    if settings.pseudo_masks and len(segmenter.labels) > MOST_CLASSES:
        raise ValueError(f"pseudo-masks hold up to {MOST_CLASSES} classes, the model has {len(segmenter.labels)}")
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
    """Score the parts that fall to this process."""
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
        scorer = PartScorer(segmenter, images, settings, pool)
        for part, (start, stop) in ranges.items():
            _write_part(output / part_name(part), schema, _with_progress(scorer.rows(start, stop), bar, start, stop))


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
                claim_folder(output / SETTINGS_FILE, metadata, "scores made with other settings")
                remove_leftovers(output)  # of a killed run
            except (OSError, ValueError) as error:
                refusal = error
        refusal = broadcast_object_list([refusal])[0]
        if refusal is not None:
            raise refusal
        yield


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
