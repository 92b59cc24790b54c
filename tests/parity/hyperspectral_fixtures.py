"""Fixtures of SPECIAL, which its official code made (float32).

    python -m tests.parity.hyperspectral_fixtures ../shared/fixtures

writes `hyperspectral/special_step.npz` anew: what the tests read. Bands of the cube before its stretch are not kept.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "hyperspectral"
NAME = "special_step"
LEFT_OUT = ("rsshow/hsi_in", "rec_head", "metric/0")
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@functools.cache
def arrays() -> dict[str, np.ndarray]:
    """The arrays by their names."""
    with np.load(FOLDER / f"{NAME}.npz") as content:
        return {key: np.asarray(content[key]) for key in content.files}


def weights(prefix: str) -> dict[str, torch.Tensor]:
    """Tensors of a network whose names begin with a prefix, without it."""
    found = arrays().items()
    return {key.removeprefix(prefix): torch.from_numpy(value) for key, value in found if key.startswith(prefix)}


def write(whole: Path) -> None:
    """Make the folder out of the whole fixtures."""
    FOLDER.mkdir(exist_ok=True)
    with np.load(whole / f"{NAME}.npz") as content:
        kept = {key: content[key] for key in content.files if not any(part in key for part in LEFT_OUT)}
    np.savez_compressed(FOLDER / f"{NAME}.npz", **kept)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
