"""The recipes of a project: those of the package or the user, with what the project file says and the chain knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.yaml_files import read_yaml
from ..training.programs import PROGRAMS
from .folders import ProjectFolders
from .reading import KINDS
from .settings import CurateSettings, Project, ProjectDataset, TrainingSettings

__all__ = ["curation_recipe", "finetuning_recipe", "first_recipe", "pretraining_recipe", "splits_of"]

OWN_DATASET = "s5-image-mask"
IMAGES = "images"
HONEST_SPLITS = ("test", "val")
"""Where a model is scored, the first that a dataset has."""


def splits_of(dataset: ProjectDataset) -> tuple[str, ...]:
    """The splits of a dataset, those that will be cut included; `train` alone for a folder without splits."""
    if dataset.is_cut:
        left_out = [split for split in HONEST_SPLITS if dataset.prepare.get(f"{split}-share") == 0]
        return tuple(split for split in ("train", *HONEST_SPLITS) if split not in left_out)
    found = [split for split in ("train", *HONEST_SPLITS) if image_folder(dataset, split).is_dir()]
    return tuple(found) or ("train",)


def image_folder(dataset: ProjectDataset, split: str) -> Path:
    """The folder of the images of a split."""
    folder = Path(dataset.folder)
    return folder / IMAGES / split if (folder / IMAGES / split).is_dir() else folder / split / IMAGES


def first_recipe(project: Project, folders: ProjectFolders) -> dict[str, Any]:
    """A small segmenter for the first dataset."""
    fixed = {"mode": "sdf", "datasets": [task_of(project.datasets[0], {})]}
    return completed(project, "first", project.first, fixed, {"selection": "last"}, folders)


def pretraining_recipe(project: Project, folders: ProjectFolders) -> dict[str, Any]:
    """S4P on the first dataset, and on what was chosen or, without a curation, on the archive."""
    dataset = project.datasets[0]
    fixed: dict[str, Any] = {
        "labelled_dataset": OWN_DATASET,
        "labelled_dir": dataset.folder,
        "classes": dataset.labels_of_classes,
    }
    if project.curate is not None:
        fixed |= {"unlabelled_dataset": "rs4p-1m", "unlabelled_dir": str(folders.curated / "dataset")}
    elif project.archive:
        fixed |= {"unlabelled_dataset": "s5-images", "unlabelled_dir": project.archive[0]}
    starts = {} if project.first is None else {"segmenter": str(folders.run("first") / "segmenter")}
    starts |= {"validation_split": "val" if "val" in splits_of(dataset) else None}
    return completed(project, "pretrain", project.pretrain, fixed, starts, folders)


def finetuning_recipe(project: Project, folders: ProjectFolders) -> dict[str, Any]:
    """All datasets, from the pre-trained weights where there are some."""
    mode = "moe" if len(project.datasets) > 1 else "sdf"
    tested = all("test" in splits_of(dataset) for dataset in project.datasets)
    usual: dict[str, Any] = {"mode": mode, "selection": "validation" if tested else "last"}
    before = next((name for name in ("pretrain", "first") if getattr(project, name) is not None), None)
    if before is not None:
        usual["segmenter"] = str(folders.run(before) / "segmenter")
    for dataset in project.datasets:
        refuse_fixed(project, f"datasets, {dataset.name}.finetune", dataset.finetune, task_of(dataset, {}))
    fixed = {"datasets": [task_of(dataset, dataset.finetune) for dataset in project.datasets]}
    return completed(project, "finetune", project.finetune, fixed, usual, folders)


def task_of(dataset: ProjectDataset, keys: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset as a recipe of joint training has it."""
    return {
        "name": dataset.name,
        "dataset": OWN_DATASET,
        "data_dir": dataset.folder,
        "classes": dataset.labels_of_classes,
        **keys,
    }


def completed(
    project: Project,
    name: str,
    training: TrainingSettings,
    fixed: Mapping[str, Any],
    usual: Mapping[str, Any],
    folders: ProjectFolders,
) -> dict[str, Any]:
    """A whole recipe.

    Args:
        project: with the seed.
        name: of the section.
        training: the section.
        fixed: what the chain says and nobody may change.
        usual: what the chain says unless the section does.
        folders: of the project.

    Raises:
        ValueError: if the section says what the chain must say; names the key.
    """
    fixed = {**fixed, "output_dir": str(folders.run(name)), "resume": "auto"}
    refuse_fixed(project, name, training.keys, fixed)
    recipe = {**read_yaml(Path(training.recipe)), "seed": project.seed, "keep_checkpoints": 1, "trackers": ["none"]}
    if project.bands is not None:
        recipe["bands"] = [str(band) for band in project.bands]
    steps = training.keys.get("total_steps", recipe.get("total_steps"))
    if isinstance(steps, int):
        recipe |= paces(recipe, steps)
    return checked(project, name, {**recipe, **usual, **training.keys, **fixed})


def checked(project: Project, name: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose keys and values the training will accept.

    Raises:
        ValueError: naming the project file, the section and the key.
    """
    try:
        PROGRAMS[KINDS[name]].recipe.parse(dict(recipe), [], name, None).check()
    except ValueError as error:
        raise ValueError(f"{project.path}: {name}: {error}") from error
    return recipe


def refuse_fixed(project: Project, section: str, keys: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """Raise a ValueError if a section says what the chain must say; names the key."""
    clash = sorted(set(fixed) & set(keys))
    if clash:
        raise ValueError(f"{project.path}: {section}.{clash[0]}: the chain sets this key itself; leave it out")


def paces(recipe: Mapping[str, Any], steps: int) -> dict[str, int]:
    """How often a run of so many steps is logged, scored and saved, and how long it warms up."""
    rates = {"logging_steps": 20, "validation_steps": 5, "checkpoint_steps": 4}
    found = {key: max(1, min(steps // times, recipe.get(key) or steps)) for key, times in rates.items()}
    return {**found, "warmup_steps": min(recipe.get("warmup_steps", 0), steps // 10)}


def curation_recipe(project: Project, folders: ProjectFolders) -> dict[str, Any]:
    """Patches of the archive by the labelled images of the first dataset; images of evaluations must not come in."""
    settings, dataset = project.curate or CurateSettings(), project.datasets[0]
    held_out = [
        {"folder": str(image_folder(other, split))}
        for other in project.datasets
        for split in HONEST_SPLITS
        if split in splits_of(other)
    ]
    target = settings.target
    if target is None:
        target = max(1, round(0.5 * sum(len(list(images_of(Path(place)))) for place in project.archive)))
    return {
        "output": str(folders.curated),
        "model": str(folders.run("first") / "segmenter"),
        "labelled": {
            "dataset": OWN_DATASET,
            "data_dir": dataset.folder,
            "options": {"classes": dataset.labels_of_classes},
        },
        "candidates": [{"folder": place, "name": Path(place).name} for place in project.archive],
        "exclude_images": held_out,
        "score": {"patch_size": settings.patch_size, "batch_size": 8, "background": None, **settings.score},
        "cluster": {"num_clusters": settings.clusters, "seed": project.seed},
        "select": {"target": target, "unfilled": "hand_on", **settings.select},
        "export": dict(settings.export),
    }


def images_of(folder: Path) -> list[Path]:
    """The images in a folder and the folders below."""
    from ..dataset_builders.images import EXTENSIONS

    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS)
