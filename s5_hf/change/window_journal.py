"""The changes found in the windows of a scene, kept on the disk so that an interrupted run resumes after them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from ..files.atomic import atomic_file, write_text
from ..scenes.scene_run import refuse_unfinished
from .masks import Masks
from .search import Changes

__all__ = ["WindowJournal"]


class WindowJournal:
    """A folder with a file per finished window.

    Args:
        folder: of the files; made if it is not there.
        fingerprint: of what decides the result. Files of another one are removed, unless there is something to resume.
        resume: whether to keep the files of an earlier run.

    Raises:
        FileExistsError: the folder holds unfinished work, and `resume` is not set.
    """

    def __init__(self, folder: Path, fingerprint: str, resume: bool = False) -> None:
        self.folder = folder
        head = folder / "fingerprint.txt"
        if head.is_file() and not resume:
            refuse_unfinished(folder)
        if not head.is_file() or head.read_text(encoding="utf-8") != fingerprint:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(head, fingerprint)

    def has(self, index: int) -> bool:
        """Whether a window is finished."""
        return self._path(index).is_file()

    def add(self, index: int, changes: Changes) -> None:
        """Keep the changes of a window."""
        crops = changes.masks.crops
        bits = np.packbits(np.concatenate([np.zeros(0, dtype=bool), *(crop.ravel() for crop in crops)]))
        with atomic_file(self._path(index)) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                size=np.array([changes.masks.height, changes.masks.width]),
                boxes=changes.masks.boxes,
                shapes=np.array([crop.shape for crop in crops], dtype=np.int64).reshape(-1, 2),
                bits=bits,
                scores=changes.masks.scores,
                classes=np.stack([changes.classes_before, changes.classes_after]),
                angles=changes.angles,
                confidences=changes.confidences,
            )

    def changes(self, index: int) -> Changes:
        """The changes of a finished window."""
        with np.load(self._path(index), allow_pickle=False) as content:
            shapes = content["shapes"]
            sizes = shapes.prod(axis=1)
            flat = np.unpackbits(content["bits"], count=int(sizes.sum())).astype(bool)
            parts = np.split(flat, np.cumsum(sizes)[:-1]) if len(shapes) else []
            crops = tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
            masks = Masks(*(int(side) for side in content["size"]), content["boxes"], crops, content["scores"])
            return Changes(masks, *content["classes"], content["angles"], content["confidences"])

    def remove(self) -> None:
        """Remove the folder, once the result is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"window_{index}.npz"
