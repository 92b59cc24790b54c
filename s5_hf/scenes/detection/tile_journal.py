"""The objects of the finished tiles of a scene, kept in a file so that an interrupted run can resume after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import torch

from ...predictors.interfaces import Detections

__all__ = ["TileJournal"]


class TileJournal:
    """A text file with a line for what decides the result, and a line per batch of tiles.

    The file is made with the first batch. A line that was cut off when the process ended is skipped.

    Args:
        path: of the file.
        fingerprint: of scene, detector and settings. A file with another one is ignored.
        resume: whether to continue an existing file; otherwise it is replaced.
    """

    def __init__(self, path: Path, fingerprint: str, resume: bool) -> None:
        self.path = path
        self.tiles: dict[int, Detections] = {}
        self.done = 0
        self._head = json.dumps({"fingerprint": fingerprint}) + "\n"
        self._file: IO[str] | None = None
        self._intact = self._head
        if resume and path.is_file():
            self._read()

    def add(self, done: int, tiles: dict[int, Detections]) -> None:
        """Keep a batch.

        Args:
            done: number of the tile up to which (exclusive) the grid is done.
            tiles: the objects of tiles by their number; boxes float64, scores float32.
        """
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)
            # Exclusively: a link that somebody has put there would be written through.
            self._file = self.path.open("x", encoding="utf-8", newline="\n")
            self._file.write(self._intact)
        plain = {index: {name: values.tolist() for name, values in found.items()} for index, found in tiles.items()}
        self._file.write(json.dumps({"done": done, "tiles": plain}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; it stays."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Remove the file, once the result is written."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _read(self) -> None:
        head, *lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        if head != self._head:
            return
        for line in lines:
            if not line.endswith("\n"):
                break
            batch = json.loads(line)
            self.done = batch["done"]
            self._intact += line
            for index, found in batch["tiles"].items():
                self.tiles[int(index)] = {
                    "boxes": torch.tensor(found["boxes"], dtype=torch.float64).reshape(-1, 5),
                    "scores": torch.tensor(found["scores"], dtype=torch.float32),
                    "labels": torch.tensor(found["labels"], dtype=torch.int64),
                }
