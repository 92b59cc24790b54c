"""Fixtures of SegEarth-R1, which its official code made (float32, weights by a rule).

    python -m tests.parity.reasoning_fixtures ../shared/fixtures

writes `reasoning/` anew: of large outputs every ninth element (`sampled/NAME`), and what the tests read of the notes.
"""

import functools
import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.parity.fixtures import Sample, sample

FOLDER = Path(__file__).parent / "reasoning"
NAMES = ("segearth-r1-model", "segearth-r1-swin", "segearth-r1-data")
SAMPLED = ("mask_features_0", "memory_res5", "memory_res4", "memory_res3", "masks_first", "masks_last", "logits")
STEP = 9
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@functools.cache
def arrays(name: str) -> dict[str, Any]:
    """The arrays of a fixture by their names."""
    with np.load(FOLDER / f"{name}.npz") as content:
        tensors = {key: torch.from_numpy(np.asarray(content[key])) for key in content.files}
    shapes = settings(name).get("shapes", {})
    found: dict[str, Any] = {}
    for key, tensor in tensors.items():
        whole = key.removeprefix("sampled/")
        found[whole] = tensor if whole == key else Sample(tensor, STEP, tuple(shapes[whole]))
    return found


@functools.cache
def settings(name: str) -> dict[str, Any]:
    """The notes of a fixture."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The random numbers that belong to a name."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight of a key of the official code."""
    values = draw(key, shape)
    if len(shape) >= 2:
        return values / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    return 1 + 0.1 * values if key.endswith("weight") else 0.1 * values


def write(whole: Path) -> None:
    """Make the folder out of the whole fixtures."""
    FOLDER.mkdir(exist_ok=True)
    for name in NAMES:
        kept, shapes = {}, {}
        with np.load(whole / f"{name}.npz") as content:
            for key in content.files:
                array = np.asarray(content[key])
                if key in SAMPLED:
                    shapes[key] = list(array.shape)
                    key, array = f"sampled/{key}", sample(torch.from_numpy(array), STEP).numpy()
                kept[key] = array
        np.savez_compressed(FOLDER / f"{name}.npz", **kept)
        notes = json.loads((whole / f"{name}.json").read_text(encoding="utf-8"))
        text = json.dumps({**notes, "shapes": shapes}, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
