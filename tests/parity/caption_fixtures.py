"""Fixtures of MV-CC, which its official code made (float32).

    python -m tests.parity.caption_fixtures ../shared/fixtures

writes `caption/` anew: what the tests read. Of the features every token is kept.
"""

import functools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "caption"
NAME = "mvcc_caption"
LEFT_OUT = ("fc_alpha", "position_encoding", "fusion/alpha")
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """The arrays by their names."""
    with np.load(FOLDER / f"{NAME}.npz") as content:
        return {key: np.asarray(content[key]) for key in content.files}


@functools.cache
def settings() -> dict[str, Any]:
    """What is not an array."""
    return json.loads((FOLDER / f"{NAME}.json").read_text(encoding="utf-8"))


def tensors(prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    found = arrays().items()
    return {key.removeprefix(prefix): torch.from_numpy(value) for key, value in found if key.startswith(prefix)}


def write(whole: Path) -> None:
    """Make the folder out of the whole fixtures."""
    FOLDER.mkdir(exist_ok=True)
    with np.load(whole / f"{NAME}.npz") as content:
        kept = {key: content[key] for key in content.files if not any(part in key for part in LEFT_OUT)}
    np.savez_compressed(FOLDER / f"{NAME}.npz", **kept)
    shutil.copyfile(whole / f"{NAME}.json", FOLDER / f"{NAME}.json")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
