"""Fixtures of SAM-Road++, which its official code made (float32, a tiny network).

    python -m tests.parity.roads_fixtures ../shared/fixtures

writes `roads/` anew: what the tests of the network, of its labels and of its decisions read of the files. Weights are
stored as whole numbers, value = offset + scale * number.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDER = Path(__file__).parent / "roads"
ARRAYS = ("model_weights", "model_io", "encoder_512", "labels", "inference")
SETTINGS = ("model", "labels", "inference")


@functools.cache
def arrays(name: str) -> dict[str, torch.Tensor]:
    """The arrays of a fixture by their names."""
    with np.load(FOLDER / f"{name}.npz") as content:
        return {key: torch.from_numpy(np.asarray(content[key])) for key in content.files}


@functools.cache
def settings(name: str) -> dict[str, Any]:
    """The settings of a fixture."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def weights() -> dict[str, torch.Tensor]:
    """The official tensors, float32."""
    scales = settings("model")["weights"]
    return {
        name: scales[name][1] + scales[name][0] * numbers.float() for name, numbers in arrays("model_weights").items()
    }


def write(whole: Path) -> None:
    """Make the folder out of the whole fixtures."""
    FOLDER.mkdir(exist_ok=True)
    for name in ARRAYS:
        with np.load(whole / f"roads_{name}.npz") as content:
            np.savez_compressed(FOLDER / f"{name}.npz", **{key: content[key] for key in content.files})
    for name in SETTINGS:
        content = json.loads((whole / f"roads_{name}.json").read_text(encoding="utf-8"))
        text = json.dumps(content, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
