"""Reading a project file: known keys only, and errors that name the file and the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files.typed_settings import settings_from
from ..files.yaml_files import read_yaml
from ..imaging import is_remote
from ..recipes import find_recipe
from .settings import (
    CurateSettings,
    EvaluateSettings,
    LauncherSettings,
    MapSettings,
    Project,
    ProjectDataset,
    TrainingSettings,
)

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
    "bands",
    "launcher",
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
    output = base / text(content.get("output", "work"), "output")
    seed = content.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be a number from 0, got {seed!r}")
    return Project(
        path=path,
        output=output,
        datasets=datasets_from(content.get("datasets"), base, output),
        archive=places(content.get("archive"), "archive", base),
        scenes=places(content.get("scenes"), "scenes", base),
        bands=bands_from(content.get("bands")),
        launcher=launcher_from(content.get("launcher")),
        seed=seed,
        **{name: training_from(content.get(name), name, base) for name in RECIPES},
        **{name: section_from(content.get(name), name) for name in SECTIONS},
    )


def with_lists(entry: object) -> object:
    """A dataset in which scenes and labels may be given as one path."""
    if not isinstance(entry, Mapping):
        return entry
    return {
        key: [value] if key in ("scenes", "labels") and isinstance(value, str) else value
        for key, value in entry.items()
    }


def datasets_from(entries: object, base: Path, output: Path) -> tuple[ProjectDataset, ...]:
    """The datasets, each with a name of its own and a folder that exists."""
    if not isinstance(entries, list) or not entries:
        raise ValueError("datasets must be a list of datasets, each with name, folder and classes")
    found = []
    for index, entry in enumerate(entries):
        place = f"datasets[{index}]"
        dataset = settings_from(ProjectDataset, with_lists(entry), place)
        names = dataset.labels_of_classes
        if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{place}.classes must be different names, at least one, got {names}")
        if dataset.name in {other.name for other in found}:
            raise ValueError(f"{place}.name: two datasets are called {dataset.name!r}")
        found.append(located(dataset, place, base, output))
    return tuple(found)


def located(dataset: ProjectDataset, place: str, base: Path, output: Path) -> ProjectDataset:
    """The dataset with its paths as the current folder sees them; tiles that are to be cut get a folder."""
    if bool(dataset.folder) == bool(dataset.scenes):
        raise ValueError(f"{place} needs folder (tiles with masks) or scenes (with labels), one of them")
    if dataset.folder:
        of_scenes = [name for name in ("labels", "attribute", "prepare") if getattr(dataset, name)]
        if of_scenes:
            raise ValueError(f"{place}.{of_scenes[0]} belongs to scenes, which this dataset has none of")
        if isinstance(dataset.classes, Mapping):
            raise ValueError(f"{place}.classes must be a list of names in the order of the values in the masks")
        folder = base / dataset.folder
        if not folder.is_dir():
            raise FileNotFoundError(f"{place}.folder: there is no folder {folder}")
        return replace(dataset, folder=str(folder))
    if not dataset.labels:
        raise ValueError(f"{place}.labels is missing: files of polygons, or rasters of class values")
    return replace(
        dataset,
        folder=str(output / "data" / dataset.name),
        scenes=places(dataset.scenes, f"{place}.scenes", base),
        labels=places(dataset.labels, f"{place}.labels", base),
        prepare={key: str(base / value) if key == "areas" else value for key, value in dataset.prepare.items()},
    )


def places(value: object, key: str, base: Path) -> tuple[str, ...]:
    """Folders, files, URLs and patterns as the current folder sees them."""
    entries = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"{key} must be a list of paths, got {value!r}")
    found = tuple(entry if is_remote(entry) else str(base / entry) for entry in entries)
    for place in found:
        if not is_remote(place) and not Path(place).exists() and not any(sign in place for sign in "*?["):
            raise FileNotFoundError(f"{key}: there is no {place}")
    return found


def bands_from(value: object) -> tuple[str | int, ...] | None:
    """The bands that are read, by name or number."""
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(type(band) in (str, int) and band for band in value):
        raise ValueError(
            f"bands must be a list of names or numbers of bands, such as [red, green, blue], got {value!r}"
        )
    if len(set(value)) < len(value):
        raise ValueError(f"bands must be different ones, got {value!r}")
    return tuple(value)


def launcher_from(value: object) -> LauncherSettings | None:
    """The section `launcher`; a number stands for `processes`."""
    if value is None or value is False:
        return None
    entries = {"processes": value} if type(value) is int else value
    found = settings_from(LauncherSettings, entries, "launcher")
    if found.processes < 1:
        raise ValueError(f"launcher.processes must be 1 or more, got {found.processes}")
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
