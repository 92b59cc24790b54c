"""What a run with `selection: validation` leaves in `best/mean`."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from s5_hf.training import read_log

WEIGHTS = "model.safetensors"


def assert_best_kept(folder: Path, network: str, score: str) -> dict:
    """The weights of the step with the highest score are kept, and say so.

    Args:
        folder: of a run that has a checkpoint of every validated step.
        network: folder of the network in a checkpoint.
        score: name of the value.

    Returns:
        What scores.json says.
    """
    values = {
        entry["step"]: entry[f"validation/{score}"] for entry in read_log(folder) if f"validation/{score}" in entry
    }
    assert len(values) > 1
    record = json.loads((folder / "best" / "mean" / "scores.json").read_text(encoding="utf-8"))
    step = max(values, key=lambda one: (values[one], -one))
    assert (record["best"], record["step"], record["selection"]) == (values[step], step, "validation")
    kept = load_file(folder / "best" / "mean" / WEIGHTS)
    expected = load_file(folder / "checkpoints" / f"step-{step:08d}" / network / WEIGHTS)
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in expected.items())
    return record


def assert_same_best(one: Path, other: Path) -> None:
    """Two runs have kept the same weights."""
    first, second = (load_file(folder / "best" / "mean" / WEIGHTS) for folder in (one, other))
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())
