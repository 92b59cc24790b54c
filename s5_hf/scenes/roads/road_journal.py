"""What is finished of the roads of a scene, kept in a folder so that an interrupted run can resume after it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import IO

import numpy as np

from ...files.atomic import atomic_file, write_text

__all__ = ["RoadJournal"]

_EDGE = np.dtype([("ends", "<i4", (2, 2)), ("score", "<f4")])
_STATE_ARRAYS = ("points", "sums", "windows")


class RoadJournal:
    """Finished rows of scores and finished edges, and the votes that are pending; memory does not grow with them.

    Args:
        folder: made if it is missing.
        fingerprint: of scene, network and settings. What another one left is removed.
        width: of the scene in pixels.
        resume: whether to continue what is there; otherwise it is removed.

    Attributes:
        rows_done: rows of scores that are finished.
        windows_done: windows that have voted.
        restart_window: where the network has to begin again.
        pending_votes: places of source and target int64 `(n, 2, 2)`, sums `(n,)`, windows `(n,)`.

    Raises:
        OSError: the folder cannot be made or read.
    """

    def __init__(self, folder: Path, fingerprint: str, width: int, resume: bool) -> None:
        self.folder, self._width = folder, width
        self.rows_done = self.windows_done = self.restart_window = 0
        self.pending_votes = np.zeros((0, 2, 2), dtype=np.int64), np.zeros(0), np.zeros(0, dtype=np.int64)
        self._edges = self._rows = 0
        if not (resume and self._is_of(fingerprint)):
            shutil.rmtree(folder, ignore_errors=True)
        elif self._state_path.is_file():
            self._read_state()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.spool, ignore_errors=True)
        self.spool.mkdir()
        write_text(folder / "about.json", json.dumps({"fingerprint": fingerprint}) + "\n")
        self._score_file = _opened_at(folder / "scores.raw", 2 * width * self.rows_done)
        self._edge_file = _opened_at(folder / "edges.raw", _EDGE.itemsize * self._edges)
        self._rows = self.rows_done

    @property
    def spool(self) -> Path:
        """A folder for windows that wait; it is empty at the start of each run."""
        return self.folder / "windows"

    def add_rows(self, top: int, scores: np.ndarray) -> None:
        """Keep rows of scores, uint8 `(2, rows, width)`, the next ones from `top` on."""
        if top != self._rows:
            raise ValueError(f"expected the scores of row {self._rows}, got those of row {top}")
        self._score_file.write(np.ascontiguousarray(scores.transpose(1, 0, 2)).tobytes())
        self._rows += scores.shape[1]

    def read_rows(self, top: int, bottom: int) -> np.ndarray:
        """Rows of scores, uint8 `(2, bottom - top, width)`."""
        with (self.folder / "scores.raw").open("rb") as file:
            file.seek(2 * self._width * top)
            content = np.frombuffer(file.read(2 * self._width * (bottom - top)), dtype=np.uint8)
        return content.reshape(bottom - top, 2, self._width).transpose(1, 0, 2)

    def add_edges(self, ends: np.ndarray, scores: np.ndarray) -> None:
        """Keep finished edges: places of their ends `(n, 2, 2)` and scores `(n,)`."""
        records = np.zeros(len(scores), dtype=_EDGE)
        records["ends"], records["score"] = ends, scores
        self._edge_file.write(records.tobytes())
        self._edges += len(records)

    def read_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """All finished edges: places of their ends int64 `(n, 2, 2)` and scores float32 `(n,)`."""
        self._edge_file.flush()
        records = np.fromfile(self.folder / "edges.raw", dtype=_EDGE)
        return records["ends"].astype(np.int64), records["score"].copy()

    def save(
        self, windows_done: int, restart_window: int, points: np.ndarray, sums: np.ndarray, windows: np.ndarray
    ) -> None:
        """Note how far everything is; a run that is interrupted later resumes from here.

        Args:
            windows_done, restart_window: see the attributes.
            points, sums, windows: the pending votes.
        """
        self._score_file.flush()
        self._edge_file.flush()
        progress = np.array([self._rows, windows_done, restart_window, self._edges])
        arrays = dict(zip(_STATE_ARRAYS, (points, sums, windows), strict=True))
        with atomic_file(self._state_path) as temporary, temporary.open("wb") as file:
            np.savez(file, progress=progress, **arrays)

    def close(self) -> None:
        """Close the files; what is finished stays."""
        self._score_file.close()
        self._edge_file.close()
        shutil.rmtree(self.spool, ignore_errors=True)

    def remove(self) -> None:
        """Remove everything, once the result is written."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.npz"

    def _is_of(self, fingerprint: str) -> bool:
        about = self.folder / "about.json"
        if not about.is_file():
            return False
        return json.loads(about.read_text(encoding="utf-8")).get("fingerprint") == fingerprint

    def _read_state(self) -> None:
        with np.load(self._state_path) as content:
            self.rows_done, self.windows_done, self.restart_window, self._edges = content["progress"].tolist()
            points, sums, windows = (content[name] for name in _STATE_ARRAYS)
        self.pending_votes = points.astype(np.int64), sums, windows


def _opened_at(path: Path, size: int) -> IO[bytes]:
    """A file for writing behind its first `size` bytes; what lies behind them is cut off."""
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file
