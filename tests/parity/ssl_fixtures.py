"""Fixtures of the newer semi-supervised methods, which their official code made (float32, random weights).

They lie in `ssl/` as they are. Images are int8, 64 times their value; box masks are 1 where the partner is pasted;
ignore masks are 255 where a pixel is ignored. `checks` hold `[sum, L2 norm, dot with cos(0), cos(1), ...]` of the
flattened change or gradient of a parameter. `micro` is DINOv2 of 4 blocks, width 24, with a DPT decoder.
"""

import functools
import json
from pathlib import Path

import numpy as np
import torch

from s5_hf.conversion import convert_checkpoint
from s5_hf.modeling import S5ForSemanticSegmentation

FOLDER = Path(__file__).parent / "ssl"
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}
TOLD = {"num_attention_heads": 3, "taps": [1, 2, 3, 4]}


@functools.cache
def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz") as content:
        return {key: np.asarray(content[key]) for key in content.files}


def load(name: str, prefix: str = "") -> dict[str, torch.Tensor]:
    """The arrays of a fixture under a prefix, without it; images as float32."""
    found = {}
    for key, array in _arrays(name).items():
        if key.startswith(prefix) and array.dtype.kind != "U":
            tensor = torch.from_numpy(array.copy())
            short = key.removeprefix(prefix)
            found[short.removesuffix("_times_64")] = tensor.float() / 64 if short.endswith("_times_64") else tensor
    return found


def parameter_names(name: str) -> list[str]:
    """The official names of the rows of `checks`."""
    return _arrays(name)["checks/parameter_names"].tolist()


def published_keys() -> dict:
    """Keys, shapes and types of the published UniMatch V2 of DINOv2-S, and the parameters of all sizes."""
    return json.loads((FOLDER / "keys_unimatch_v2_small.json").read_text(encoding="utf-8"))


def write_micro_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The micro network as the official code saves it; the averaged network is another one."""
    tensors = {f"module.{name}": tensor for name, tensor in load("micro", "weights/").items()}
    averaged = {name: tensor + 1 for name, tensor in tensors.items()}
    torch.save({"model": tensors, "model_ema": averaged, "epoch": 3, "previous_best": 1.5}, path)
    return tensors


def micro_model(folder: Path) -> S5ForSemanticSegmentation:
    """The micro network."""
    write_micro_checkpoint(folder / "micro.pth")
    convert_checkpoint(folder / "micro.pth", folder / "micro", entry="model", **TOLD)
    return S5ForSemanticSegmentation.from_pretrained(folder / "micro")


def summary(tensor: torch.Tensor) -> torch.Tensor:
    """What `checks` hold of a tensor."""
    flat = tensor.detach().double().flatten()
    wave = torch.cos(torch.arange(len(flat), dtype=torch.float64))
    return torch.stack([flat.sum(), flat.norm(), flat @ wave])
