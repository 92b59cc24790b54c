"""One scene shared among processes: each makes a band of its rows, and the first one puts the bands together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .class_rows import ClassRows
from .map_files import mapped_bytes

__all__ = ["BandFiles", "RowTeam"]


def _alone() -> None:
    """A process by itself waits for nobody."""


@dataclass(frozen=True)
class RowTeam:
    """The processes that make one scene together.

    Attributes:
        index: of this process; the first one writes the maps.
        count: of the processes.
        wait: returns when all of them have called it.
    """

    index: int = 0
    count: int = 1
    wait: Callable[[], None] = _alone

    def band(self, index: int, first_row: int, height: int) -> tuple[int, int]:
        """The first and the last row, exclusive, that a process makes of those from `first_row` on."""
        missing = height - first_row
        return first_row + missing * index // self.count, first_row + missing * (index + 1) // self.count


class BandFiles:
    """The maps of a band on the disk, from the process that makes them to the one that writes the scene.

    Args:
        folder: of the unfinished work.
        index: of the process that makes the band.
        shapes: of the maps; the last two dimensions are rows and columns.
    """

    def __init__(self, folder: Path, index: int, shapes: dict[str, tuple[int, ...]]) -> None:
        self._paths = {name: folder / f"band_{index}_{name}.raw" for name in shapes}
        self._shapes = shapes

    def make(self, pieces: Iterator[tuple[int, ClassRows]]) -> None:
        """Write pieces, each with its first row, counted from the top of the band."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)  # of a run that was interrupted
        maps = self._maps()
        for top, rows in pieces:
            for name, values in maps.items():
                values[..., top : top + len(rows.classes), :] = getattr(rows, name)
        for values in maps.values():
            values.flush()

    def read(self, top: int, bottom: int) -> ClassRows:
        """Some rows of the band."""
        return ClassRows(**{name: np.asarray(values[..., top:bottom, :]) for name, values in self._maps().items()})

    def remove(self) -> None:
        """Delete the files."""
        for path in self._paths.values():
            path.unlink()

    def _maps(self) -> dict[str, np.memmap]:
        return {name: mapped_bytes(path, self._shapes[name]) for name, path in self._paths.items()}
