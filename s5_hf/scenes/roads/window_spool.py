"""What a network has seen in windows, kept on the disk until all nodes in them are known."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

__all__ = ["SeenWindow", "WindowSpool"]


@dataclass(frozen=True)
class SeenWindow:
    """A window that waits for its nodes.

    Attributes:
        index: in the grid.
        batch_start: the first window of the batch that it was in.
        scores: of keypoints and roads, float32 `(2, height, width)`.
        features: of the network, float32.
        valid: bool `(height, width)`: which pixels hold data; None for all of them.
    """

    index: int
    batch_start: int
    scores: Tensor
    features: Tensor
    valid: np.ndarray | None


class WindowSpool:
    """Windows in the order of their grid: put in at the end, taken out at the beginning.

    They lie on the disk because those of a wide scene do not fit into memory (3 MB for 512 x 512 pixels). Most are
    read again before the system has written them out.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> tuple[int, int] | None:
        """Number of the first window that waits, and the first window of its batch; None if none waits."""
        return self._waiting[0] if self._waiting else None

    def put(self, window: SeenWindow) -> None:
        """Keep a window."""
        arrays = {"scores": window.scores.cpu().numpy(), "features": window.features.float().cpu().numpy()}
        if window.valid is not None:
            arrays["valid"] = window.valid
        with self._path(window.index).open("wb") as file:
            np.savez(file, **arrays)
        self._waiting.append((window.index, window.batch_start))

    def take(self) -> SeenWindow:
        """The first window, which is forgotten."""
        index, batch_start = self._waiting.popleft()
        path = self._path(index)
        with np.load(path) as arrays:
            scores, features = (torch.from_numpy(arrays[name]) for name in ("scores", "features"))
            window = SeenWindow(index, batch_start, scores, features, arrays.get("valid"))
        path.unlink()
        return window

    def _path(self, index: int) -> Path:
        return self._folder / f"window_{index}.npz"
