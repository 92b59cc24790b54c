"""Reading a project file: known keys only, and errors that name the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..curation.recipe import settings_from
from ..files.yaml_files import read_yaml
from ..imaging import is_remote
from ..recipes import find_recipe
from .settings import CurateSettings, EvaluateSettings, MapSettings, Project, ProjectDataset, TrainingSettings

__all__ = ["read_project"]

RECIPES = {"first": "first_segmenter", "pretrain": "s4p_tiny_curated", "finetune": "moe_mdf_tiny_cpu"}
"""The recipe of a training whose section names none."""
KINDS = {"first": "segmentation", "pretrain": "s4p", "finetune": "segmentation"}
SECTIONS = {"curate": CurateSettings, "evaluate": EvaluateSettings, "maps": MapSettings}
KEYS = (
    "output",
    "seed",
    "datasets",
    "archive",
    "scenes",
    "first",
    "curate",
    "pretrain",
    "finetune",
    "evaluate",
    "maps",
)


def read_project(path: str | Path) -> Project:
    """Read a project file.

    Args:
        path: of the YAML file. Paths in it are relative to its folder.

    Raises:
        FileNotFoundError: if there is no such file, or a folder or a recipe that it names is missing.
        ValueError: for YAML that does not parse or gives a key twice, unknown or missing keys, values of the wrong
            type or range, and steps that lack what they need; the message names the file and the key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no project file {path}; s5-hf init FOLDER... writes one")
    content = read_yaml(path)
    try:
        project = project_from(content, path)
        check_steps(project)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: {error}") from error
    return project


def project_from(content: object, path: Path) -> Project:
    """The project that the content of a file describes."""
    if not isinstance(content, Mapping):
        raise ValueError(f"a project is a mapping of keys to values, got {type(content).__name__}")
    for key in content:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1)
            raise ValueError(
                f"unknown key {key!r}" + (f", did you mean {close[0]!r}?" if close else f"; known: {KEYS}")
            )
    base = path.parent
    seed = content.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a number from 0, got {seed!r}")
    return Project(
        path=path,
        output=base / text(content.get("output", "work"), "output"),
        datasets=datasets_from(content.get("datasets"), base),
        archive=places(content.get("archive"), "archive", base),
        scenes=places(content.get("scenes"), "scenes", base),
        seed=seed,
        **{name: training_from(content.get(name), name, base) for name in RECIPES},
        **{name: section_from(content.get(name), name) for name in SECTIONS},
    )


def datasets_from(entries: object, base: Path) -> tuple[ProjectDataset, ...]:
    """The datasets, each with a name of its own and a folder that exists."""
    if not isinstance(entries, list) or not entries:
        raise ValueError("datasets must be a list of datasets, each with name, folder and classes")
    found = []
    for index, entry in enumerate(entries):
        place = f"datasets[{index}]"
        dataset = settings_from(ProjectDataset, entry, place)
        if not dataset.classes or len(set(dataset.classes)) < len(dataset.classes):
            raise ValueError(f"{place}.classes must be different names, at least one, got {dataset.classes}")
        if dataset.name in {other.name for other in found}:
            raise ValueError(f"{place}.name: two datasets are called {dataset.name!r}")
        folder = base / dataset.folder
        if not folder.is_dir():
            raise FileNotFoundError(f"{place}.folder: there is no folder {folder}")
        found.append(replace(dataset, folder=str(folder)))
    return tuple(found)


def places(value: object, key: str, base: Path) -> tuple[str, ...]:
    """Folders, files, URLs and patterns as the current folder sees them."""
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"{key} must be a list of paths, got {value!r}")
    found = tuple(entry if is_remote(entry) else str(base / entry) for entry in entries)
    for place in found:
        if not is_remote(place) and not Path(place).exists() and not any(sign in place for sign in "*?["):
            raise FileNotFoundError(f"{key}: there is no {place}")
    return found


def training_from(value: object, name: str, base: Path) -> TrainingSettings | None:
    """The section of a training: `recipe`, and keys of it; `None` where it is left out."""
    if value is False or value is None:
        return None
    if value is True:
        value = {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be false, or a mapping with keys of its recipe, got {value!r}")
    word = text(value.get("recipe", RECIPES[name]), f"{name}.recipe")
    beside = base / word
    recipe = beside if beside.is_file() else find_recipe(word, KINDS[name])
    return TrainingSettings(str(recipe), {key: entry for key, entry in value.items() if key != "recipe"})


def section_from(value: object, name: str) -> Any | None:
    """The section of another step; `None` where it is left out."""
    if value is False or value is None:
        return None
    return settings_from(SECTIONS[name], {} if value is True else value, name)


def text(value: object, key: str) -> str:
    """A value that must be text."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} must be text, got {value!r}")
    return value


def check_steps(project: Project) -> None:
    """Raise a ValueError for a step that lacks what it needs."""
    if project.curate is not None:
        if not project.archive:
            raise ValueError("curate: there is nothing to choose from; archive names folders of images without labels")
        if project.first is None:
            raise ValueError("curate: needs the first segmenter; first must not be left out")
    if project.pretrain is not None and not project.archive and project.pretrain.keys.get("method") != "supervised":
        rest = project.pretrain.keys.get("unlabelled_dataset") == "rest"
        if not rest:
            raise ValueError(
                "pretrain: needs images without labels: name folders under archive, or give "
                "unlabelled_dataset: rest and labelled_count: NUMBER"
            )
    if project.pretrain is not None and project.curate is None and len(project.archive) > 1:
        raise ValueError("pretrain: without curate it reads one folder, but archive names several")
    if (project.evaluate or project.maps) and not (project.finetune or project.pretrain or project.first):
        step = "evaluate" if project.evaluate else "maps"
        raise ValueError(f"{step}: needs a model; first, pretrain or finetune must not be left out")
    if project.maps is not None and not project.scenes:
        raise ValueError("maps: there is nothing to map; scenes names files or folders")
