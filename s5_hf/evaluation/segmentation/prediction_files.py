"""Predictions as PNG files, to look at and to send to benchmark servers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from PIL import Image

from ...files.atomic import atomic_folder

__all__ = ["open_prediction_folder", "prediction_names", "write_prediction"]


def prediction_names(ids: Sequence[str]) -> list[str]:
    """File names of the predictions for samples.

    The last part of the id with `.png`, which is what the LoveDA server expects (`4191.png`); whole ids, in
    subfolders, where two samples share it. Names that differ in case only count as one, as on Windows and macOS.

    Raises:
        ValueError: if whole ids are shared as well, so that one file would replace another; names the first.
    """
    names = [f"{identifier.rpartition('/')[2]}.png" for identifier in ids]
    if _first_repeated(names) is None:
        return names
    repeated = _first_repeated(ids)
    if repeated is not None:
        raise ValueError(
            f"two samples have the id {repeated!r}, so their class maps would have one name: give the images names "
            "that differ in more than the extension (or upper and lower case)"
        )
    return [f"{identifier}.png" for identifier in ids]


def _first_repeated(names: Sequence[str]) -> str | None:
    """The first name that occurs more than once, whatever the case."""
    counts = Counter(name.casefold() for name in names)
    return next((name for name in names if counts[name.casefold()] > 1), None)


@contextmanager
def open_prediction_folder(folder: str | Path, accelerator: Accelerator) -> Iterator[Path]:
    """A temporary folder that all processes write to; it takes its name when the block ends well in all of them.

    Raises:
        FileExistsError: if `folder` exists already and is not empty.
    """
    if not accelerator.is_main_process:
        yield _agree_on(None, accelerator)
        accelerator.wait_for_everyone()
        return
    with atomic_folder(folder) as temporary:
        yield _agree_on(temporary, accelerator)
        accelerator.wait_for_everyone()


def write_prediction(path: Path, classes: np.ndarray) -> None:
    """Write class ids `(height, width)`, 0..255, as an 8-bit PNG with one channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(classes.astype(np.uint8)).save(path)


def _agree_on(folder: Path | None, accelerator: Accelerator) -> Path:
    """The main process's folder, in every process."""
    shared = [None if folder is None else str(folder)]
    if accelerator.num_processes > 1:
        broadcast_object_list(shared)
    return Path(shared[0])
