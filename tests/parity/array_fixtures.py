"""Compact fixtures that are one file of arrays each."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class ArrayFixtures:
    """Arrays that the official code made.

    Attributes:
        path: of the compact file.
        left_out: parts of the names of arrays that the tests do not read.
    """

    path: Path
    left_out: tuple[str, ...]

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by their names."""
        with np.load(self.path) as content:
            return {key: np.asarray(content[key]) for key in content.files}

    def tensors(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose names begin with a prefix, without it."""
        found = self.arrays.items()
        return {key.removeprefix(prefix): torch.from_numpy(value) for key, value in found if key.startswith(prefix)}

    def write(self, whole: Path) -> None:
        """Make the compact file out of the folder of whole fixtures."""
        self.path.parent.mkdir(exist_ok=True)
        with np.load(whole / self.path.name) as content:
            kept = {key: content[key] for key in content.files if not any(part in key for part in self.left_out)}
        np.savez_compressed(self.path, **kept)
