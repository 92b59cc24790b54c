"""Reading foreign checkpoint files: tensors only, and a readable reason when a file cannot be trusted or read."""

import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# Where a file holds averaged weights beside the trained ones, they are what is used.
STATE_ENTRIES = ("model_ema", "model", "state_dict")

# What torch's loader was seen to raise on bytes that are not a checkpoint, besides UnpicklingError.
UNREADABLE = (
    *(RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, MemoryError, struct.error, SafetensorError),
)


def read_checkpoint(path: str | Path, entry: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint, by name.

    Args:
        path: a `.pth`/`.pt`/`.bin` or `.safetensors` file, or a folder of transformers with one of them.
        entry: the entry that they lie under, where the file holds several networks.

    The tensors may lie at the top, under `"model_ema"`, `"model"` or `"state_dict"` (the first that there is, unless
    `entry` names one); the prefix `module.` of distributed
    training is removed. Everything else at the top (epochs, best scores, optimizer state) is left aside.

    Raises:
        FileNotFoundError: if there is no such file, or no weights in the folder.
        ValueError: if the file is broken or truncated, wants more than tensors, holds none, or has no such entry.
    """
    path = find_weights(Path(path))
    content = load_tensors(path)
    if entry is not None and not isinstance(content.get(entry), Mapping):
        raise ValueError(f"{path} has no entry {entry!r}; its entries are {sorted(map(str, content))[:10]}")
    for name in STATE_ENTRIES if entry is None else (entry,):
        if isinstance(content.get(name), Mapping):
            content = content[name]
            break
    state = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not state:
        raise ValueError(f"{path} holds no tensors; its entries are {sorted(map(str, content))[:10]}")
    unnamed = [key for key in state if not isinstance(key, str)]
    if unnamed:
        raise ValueError(
            f"{path} holds tensors without names, under keys such as {unnamed[0]!r}; expected text as keys"
        )
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def find_weights(path: Path) -> Path:
    """`path` itself if it is a file, else the weights in that folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    for name in WEIGHT_FILES:
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"the folder {path} has no weights; looked for {' and '.join(WEIGHT_FILES)}")


def load_tensors(path: Path) -> dict[str, Any]:
    """The content of one file, read without running any code of it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        # Without the loader's own text: it tells how to load the file all the same.
        raise ValueError(
            f"{path} is refused: besides tensors its pickle asks for other Python objects"
            f"{f', such as {wanted[1]}' if wanted else ' or steps'}. They could run any code; ask its author "
            "for the tensors alone, preferably as .safetensors"
        ) from None
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read, it is truncated or not a checkpoint: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected a dictionary of tensors")
    return content


def first_line(error: BaseException) -> str:
    """The first line of an error's text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0]
