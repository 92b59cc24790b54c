"""Fixtures that the official implementation made: compact in this repository, whole where `../shared` is.

The compact ones are made by `compact_fixtures.py`. Every stored number is the official float32 to the bit; large
outputs are sampled (`Sample`), equal tensors are stored once.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

COMPACT = Path(__file__).parent / "compact"
WRAPPERS = ("model", "state_dict")


@dataclass(frozen=True)
class Sample:
    """Every `step`-th element of an official tensor, counted over its last two dimensions.

    Attributes:
        values: `(..., count)`, the elements that are kept.
        step: distance between two of them; prime to the widths in use, so that every row and column takes part.
        shape: shape of the whole tensor.
    """

    values: torch.Tensor
    step: int
    shape: torch.Size

    def __getitem__(self, row: int) -> "Sample":
        """The sample of one row of the tensor, as of one image of a batch."""
        return Sample(self.values[row], self.step, self.shape[1:])


def sample(tensor: torch.Tensor, step: int) -> torch.Tensor:
    """What a `Sample` keeps of a tensor of two or more dimensions."""
    return tensor.flatten(-2)[..., ::step]


class OfficialFixtures(Protocol):
    """Where checkpoints and arrays of the official implementation come from."""

    def checkpoint(self, name: str) -> Path:
        """A checkpoint file `.pth`, as the official code wrote it."""

    def arrays(self, name: str) -> "dict[str, torch.Tensor | Sample]":
        """Inputs and outputs of one run of the official code."""

    def entries(self, name: str) -> list[dict]:
        """Keys and shapes of a released checkpoint: `[{"key": ..., "shape": [...]}, ...]`."""


@dataclass(frozen=True)
class WholeFixtures:
    """The folder with everything that the official implementation gave."""

    folder: Path

    def checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}.pth"

    def arrays(self, name: str) -> dict[str, torch.Tensor]:
        with np.load(self.folder / f"{name}.npz") as content:
            return {key: torch.from_numpy(np.asarray(content[key])) for key in content.files}

    def entries(self, name: str) -> list[dict]:
        return json.loads((self.folder / "keys" / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class CompactFixtures:
    """The fixtures in this repository; checkpoints are written back as `.pth`, so that reading those is tested.

    `arrays.npz` holds every array once, under a number. `index.json` says which is which:
    `checkpoints: {name: {"wrapper": ..., "tensors": {key: number}}}` and
    `arrays: {name: {key: number or {"number": ..., "step": ..., "shape": [...]}}}`.

    Args:
        scratch: folder for the checkpoints.
    """

    scratch: Path

    @cached_property
    def _index(self) -> dict:
        return json.loads((COMPACT / "index.json").read_text(encoding="utf-8"))

    @cached_property
    def _stored(self) -> dict[str, torch.Tensor]:
        with np.load(COMPACT / "arrays.npz") as content:
            return {number: torch.from_numpy(np.asarray(content[number])) for number in content.files}

    def checkpoint(self, name: str) -> Path:
        path = self.scratch / f"{name}.pth"
        if not path.exists():
            entry = self._index["checkpoints"][name]
            tensors = {key: self._stored[str(number)].clone() for key, number in entry["tensors"].items()}
            torch.save({entry["wrapper"]: tensors}, path)
        return path

    def arrays(self, name: str) -> dict[str, torch.Tensor | Sample]:
        return {key: self._array(entry) for key, entry in self._index["arrays"][name].items()}

    def _array(self, entry: int | dict) -> torch.Tensor | Sample:
        if isinstance(entry, int):
            return self._stored[str(entry)].clone()
        return Sample(self._stored[str(entry["number"])], entry["step"], torch.Size(entry["shape"]))

    def entries(self, name: str) -> list[dict]:
        return json.loads((COMPACT / f"{name}.json").read_text(encoding="utf-8"))
