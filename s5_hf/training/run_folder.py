"""What a run leaves besides its checkpoints: the resolved recipe, versions, and a log of one JSON object per line."""

import importlib.metadata
import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..dataset_builders.credentials import without_credentials
from ..files.atomic import atomic_file
from ..version import __version__
from .recipe_reading import SectionedRecipe

PACKAGES = ("torch", "transformers", "accelerate", "datasets", "numpy", "pillow", "safetensors")


def describe_environment() -> dict[str, Any]:
    """Versions, platform, command and the git commit of the working directory (`None` outside a repository)."""
    return {
        "s5_hf": __version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor(),
        "command": without_credentials(sys.argv),
        "git_commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of this package's sources, with `+changes` where files differ from it."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changes = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changes else commit


def save_description(folder: Path, recipe: SectionedRecipe) -> None:
    """Write `recipe.yaml`, which starts the same run again, and `environment.json`."""
    with atomic_file(folder / "recipe.yaml") as temporary:
        temporary.write_text(recipe.to_yaml(), encoding="utf-8")
    with atomic_file(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(describe_environment(), indent=2), encoding="utf-8")


class RunLog:
    """`log.jsonl`: one object per entry, with its `step`.

    Args:
        folder: of the run.
        start: entries of later steps are removed, because a resumed run writes them again.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self.path = folder / "log.jsonl"
        kept = [entry for entry in read_log(folder) if entry["step"] <= start]
        with atomic_file(self.path) as temporary:
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append an entry; NaN becomes null."""
        entry = {"step": step, **{key: value if math.isfinite(value) else None for key, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """The entries of a run's log, without a line that was cut off by a crash."""
    path = Path(folder) / "log.jsonl"
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


def was_validated(folder: str | Path, step: int) -> bool:
    """Whether the log of the run in `folder` holds the validation of a step."""
    entries = [entry for entry in read_log(folder) if entry["step"] == step]
    return any(name.startswith("validation/") for entry in entries for name in entry)
