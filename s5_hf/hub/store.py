"""The model store: one folder per known name, written once and then only read."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

from ..conversion import ConversionReport, convert_checkpoint
from ..files.atomic import require_absent
from .fit import name_for, require_fit, require_open
from .name_form import OPEN_NAMES
from .names import known_model

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def store_folder() -> Path:
    """The folder of the store: `S5_HF_HOME`, by default `s5_hf` beside the Hub cache. Read at every call."""
    chosen = os.environ.get("S5_HF_HOME")
    return Path(chosen).expanduser() if chosen else Path(constants.HF_HUB_CACHE).parent / "s5_hf"


def store_path(name: str) -> Path:
    """Where the store keeps a name, whether it is there or not."""
    return store_folder() / name


def stored(name: str) -> Path | None:
    """The folder of a name in the store, None unless configuration and weights are there."""
    folder = store_path(name)
    return folder if is_model_folder(folder) else None


def is_model_folder(folder: Path) -> bool:
    """Whether a folder has a configuration and safetensors weights."""
    return (folder / "config.json").is_file() and any((folder / weights).is_file() for weights in WEIGHTS)


def folder_size(folder: Path) -> int:
    """Bytes of the files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@contextmanager
def store_lock(name: str) -> Iterator[None]:
    """Let one process at a time make a name; the others wait, and find it made."""
    lock = store_folder() / ".locks" / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        yield


@contextmanager
def staging_folder() -> Iterator[Path]:
    """A path inside the store for a folder that is being written; what is still there at the end is removed."""
    store = store_folder()
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=store) as temporary:
        yield Path(temporary) / "model"


def keep(folder: Path, name: str) -> Path:
    """Rename a finished folder of `staging_folder` to its name in the store.

    Raises:
        FileExistsError: if the store has the name already.
    """
    target = store_path(name)
    require_absent(target)
    if target.is_dir():
        target.rmdir()
    folder.replace(target)
    return target


def convert_to_store(source: str | Path, name: str | None = None, **settings: Any) -> tuple[Path, ConversionReport]:
    """Convert a checkpoint into the store.

    Args:
        source: as in `convert_checkpoint`.
        name: a known name; by default the one whose configuration the checkpoint has exactly. A given name must be
            of the checkpoint's kind and ViT size; tasks, experts and image size may be others.
        **settings: `task`, `labels` and the other keywords of `convert_checkpoint`.

    Returns:
        The folder in the store, and the conversion's report.

    Raises:
        OSError: for an unknown name.
        FileExistsError: if the store has the name already.
        ValueError: if no name fits, the given one does not, or the conversion fails; nothing is left in the store.
    """
    if name is not None:
        if name not in OPEN_NAMES:
            known_model(name)
        require_absent(store_path(name))
    with staging_folder() as folder:
        report = convert_checkpoint(source, folder, **settings)
        if name is None:
            name = name_for(report)
        elif name in OPEN_NAMES:
            require_open(report.config, name)
        else:
            require_fit(report.config, name)
        with store_lock(name):
            return keep(folder, name), report
