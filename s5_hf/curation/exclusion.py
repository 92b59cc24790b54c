"""Lists of what must not be selected: ids, and perceptual hashes of evaluation images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from ..dataset_builders.errors import SampleError
from ..files.atomic import write_text
from ..files.processes import ordered_results
from ..hub.normalization import InputSettings
from .patches import cut_patches
from .sources import ImageList

if TYPE_CHECKING:
    from ..dataset_builders.shards import Sample

__all__ = ["hash_images", "read_hashes", "read_ids", "write_hashes"]

_THREADS = 4


def hash_images(
    images: ImageList,
    patch_size: int | None = None,
    stride: int | None = None,
    edges: str = "shift",
    network: InputSettings | None = None,
) -> np.ndarray:
    """Perceptual hashes of images and of their patches, to keep them out of a selection.

    Cut with the size, stride and edges of the candidates: a hash stands for a whole picture, so it finds an
    evaluation image that is a candidate as a whole, or that was cut along the same grid.

    Args:
        images: of the evaluation.
        patch_size, stride, edges: as `patch_windows` takes them.
        network: how the model that scored the candidates reads images; RGB of 8 bits by default.

    Returns:
        uint64, ascending, without repetitions.

    Raises:
        SampleError: if an image cannot be read.
    """

    def hashes(item: tuple[int, Sample | SampleError]) -> list[int]:
        number, sample = item
        if isinstance(sample, SampleError):
            raise sample
        sizes = {None, patch_size}
        cut = (cut_patches(sample, number, size, stride, edges, network) for size in sizes)
        return [patch.content.hash for patch in chain.from_iterable(cut)]

    samples = enumerate(tqdm(images.read(0, len(images)), "hashing", len(images), unit="image"))
    with ThreadPoolExecutor(_THREADS) as pool:
        found = chain.from_iterable(ordered_results(pool, hashes, samples, 2 * _THREADS))
        return np.unique(np.fromiter(found, dtype=np.uint64))


def write_hashes(hashes: np.ndarray, path: str | Path) -> None:
    """Write a text file with 16 hexadecimal digits per line."""
    write_text(path, "".join(f"{value:016x}\n" for value in hashes.tolist()))


def read_hashes(path: str | Path) -> np.ndarray:
    """Read what `write_hashes` wrote, as uint64.

    Raises:
        ValueError: naming the first line that is not a hash.
    """
    lines = _lines(path)
    for number, line in enumerate(lines, start=1):
        if len(line) != 16 or not set(line.lower()) <= set("0123456789abcdef"):
            raise ValueError(f"{path}, line {number}: expected 16 hexadecimal digits, got {line!r}")
    return np.array([int(line, 16) for line in lines], dtype=np.uint64)


def read_ids(path: str | Path) -> pa.Array:
    """Ids from a text file with one per line."""
    return pa.array(_lines(path), pa.string())


def _lines(path: str | Path) -> list[str]:
    return [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
