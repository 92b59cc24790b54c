"""One scene shared among processes: each makes bands of its rows, and the first one puts the bands together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...files.atomic import write_text
from ...files.json_files import read_json_object
from ..scene_run import require_same_work
from .class_rows import ClassRows
from .map_files import BLOCK_SIDE, mapped_bytes
from .scene_result import SceneFiles

__all__ = ["Band", "BandFiles", "RowTeam", "missing_rows"]

Rows = tuple[int, int]
"""The first row and the last, exclusive."""


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

    def share(self, missing: Sequence[Rows]) -> list[Rows]:
        """The part of the missing rows that this process makes; the first process has the first ones."""
        rows = sum(bottom - top for top, bottom in missing)
        start, stop = rows * self.index // self.count, rows * (self.index + 1) // self.count
        own, passed = [], 0
        for top, bottom in missing:
            first, last = max(top, top + start - passed), min(bottom, top + stop - passed)
            if first < last:
                own.append((first, last))
            passed += bottom - top
        return own


@dataclass(frozen=True)
class Band:
    """Rows of a scene that lie finished on the disk.

    Attributes:
        top, bottom: the first of them, and the last, exclusive.
        height: of the band's files, whose later rows are not finished.
        start_window: where the band began: good for predicting any of its rows again.
        next_window: where to begin for the rows after it; see `SceneProbabilities.restart_window`.
    """

    top: int
    bottom: int
    height: int
    start_window: int
    next_window: int

    def restart_window(self, row: int) -> int:
        """The window from which to start for the rows from `row` on, which is one of the band or the one after it."""
        return self.next_window if row >= self.bottom else self.start_window


def missing_rows(first_row: int, height: int, bands: Sequence[Band]) -> list[Rows]:
    """The rows from `first_row` on that no band holds, from top to bottom."""
    missing, row = [], first_row
    for band in bands:
        if band.top > row:
            missing.append((row, band.top))
        row = max(row, band.bottom)
    return [*missing, (row, height)] if row < height else missing


class BandFiles:
    """The maps of bands on the disk, from the processes that make them to the one that writes the scene.

    A note beside the maps of a band says how many of its rows are finished, so that they outlast an interruption.

    Args:
        files: of the scene; bands lie in a folder of its unfinished work.
        layers: of each map: None for `(rows, width)`, or a number for `(layers, rows, width)`.
        width: of the scene.
        fingerprint: of everything that decides what the maps hold.
    """

    def __init__(
        self, files: SceneFiles, layers: Mapping[str, int | None], width: int, fingerprint: dict[str, str]
    ) -> None:
        self._files, self._layers, self._width, self._fingerprint = files, layers, width, fingerprint

    def finished(self) -> list[Band]:
        """The bands that hold finished rows, from top to bottom.

        Raises:
            ValueError: a band is of a run with another fingerprint.
        """
        bands = []
        for path in self._files.band_notes():
            note = read_json_object(path)
            require_same_work(self._files.work, note["fingerprint"], self._fingerprint)
            bands.append(Band(**note["band"]))
        return sorted(bands, key=lambda band: band.top)

    def make(
        self,
        rows: Rows,
        start_window: int,
        pieces: Iterator[tuple[int, ClassRows]],
        restart_window: Callable[[int], int],
    ) -> None:
        """Write the pieces of a band, each with its first row; a note follows each 512 rows, and the last.

        Args:
            rows: of the band.
            start_window: with which the pieces begin.
            pieces: from top to bottom, all rows of the band.
            restart_window: where to begin for the rows after those that have been written.
        """
        first, last = rows
        height = last - first
        self._files.bands.mkdir(exist_ok=True)
        for path in self._paths(first).values():
            path.unlink(missing_ok=True)  # of a run that was interrupted
        maps, noted = self._maps(first, height), first
        for top, piece in pieces:
            done = top + len(piece.classes)
            for name, values in maps.items():
                values[..., top - first : done - first, :] = getattr(piece, name)
            if done - noted >= BLOCK_SIDE or done == last:
                for values in maps.values():
                    values.flush()
                self._note(Band(first, done, height, start_window, restart_window(done)))
                noted = done

    def read(self, band: Band, top: int, bottom: int) -> ClassRows:
        """Some rows of a band, counted in the scene."""
        place = slice(top - band.top, bottom - band.top)
        maps = self._maps(band.top, band.height)
        return ClassRows(**{name: np.asarray(values[..., place, :]) for name, values in maps.items()})

    def remove(self, band: Band) -> None:
        """Delete the files of a band, if there are any."""
        self._note_path(band.top).unlink(missing_ok=True)  # first, as it promises the others
        for path in self._paths(band.top).values():
            path.unlink(missing_ok=True)

    def _note(self, band: Band) -> None:
        write_text(self._note_path(band.top), json.dumps({"fingerprint": self._fingerprint, "band": vars(band)}))

    def _note_path(self, top: int) -> Path:
        return self._files.bands / f"{top}.json"

    def _paths(self, top: int) -> dict[str, Path]:
        return {name: self._files.bands / f"{top}_{name}.raw" for name in self._layers}

    def _maps(self, top: int, height: int) -> dict[str, np.memmap]:
        shapes = {
            name: (height, self._width) if layers is None else (layers, height, self._width)
            for name, layers in self._layers.items()
        }
        return {name: mapped_bytes(path, shapes[name]) for name, path in self._paths(top).items()}
