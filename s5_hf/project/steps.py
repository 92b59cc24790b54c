"""The steps of a project: each is one command that a user could type, with what it reads and what it makes."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..imaging import find_scenes, is_remote
from ..scenes.segmentation.scene_result import MapProducts, SceneFiles
from .bands import has_crs
from .commands import LAUNCH
from .folders import ProjectFolders
from .recipes import (
    HONEST_SPLITS,
    OWN_DATASET,
    curation_recipe,
    finetuning_recipe,
    first_recipe,
    images_of,
    pretraining_recipe,
    splits_of,
)
from .settings import Project, ProjectDataset

__all__ = ["PARTS", "Step", "project_steps"]

PARTS = {
    "prepare": "Cut scenes into tiles",
    "first": "Train the first segmenter",
    "curate": "Curate the archive",
    "pretrain": "Pre-train semi-supervised (S4P)",
    "finetune": "Fine-tune",
    "evaluate": "Evaluate",
    "maps": "Map the scenes",
    "accuracy": "Compare the maps with what is held out",
}
"""The parts of a project in their order: name, as in the file, and heading."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its own.
        part: that it belongs to, a key of `PARTS`.
        title: what it does.
        words: the command, `s5-hf` and its arguments.
        makes: files and folders that are there when it is done, and are removed before it is repeated.
        after: names of the steps whose results it reads.
        reads: files and folders of the user that it reads.
        recipe: file and content of the recipe that it is given.
    """

    name: str
    part: str
    title: str
    words: tuple[str, ...]
    makes: tuple[Path, ...]
    after: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    recipe: tuple[Path, Mapping[str, Any]] | None = field(default=None)

    @property
    def command(self) -> str:
        """As one types it."""
        return shlex.join(self.words)

    def settings(self) -> dict[str, Any]:
        """All that its result depends on besides other steps, as plain values: command, recipe, listing of data."""
        content = None if self.recipe is None else json.loads(json.dumps(self.recipe[1]))
        return {
            "command": list(self.words),
            "recipe": content,
            "data": {place: listing(place) for place in self.reads},
        }


def listing(place: str) -> str:
    """Names and sizes of the files of a place, as a digest that changes when one is added, removed or replaced."""
    if is_remote(place):
        return place
    path = Path(place)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    lines = [f"{file.relative_to(path).as_posix()} {file.stat().st_size}" for file in files if file.is_file()]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:16]


def project_steps(project: Project) -> list[Step]:
    """All steps in their order."""
    folders = ProjectFolders(project.output)
    steps = [prepare_step(project, dataset) for dataset in project.datasets if dataset.is_cut]
    steps += learning_steps(project, folders, tuple(step.name for step in steps))
    model = final_model(project, folders)
    last = tuple(step.name for step in steps)
    if project.evaluate is not None:
        steps += [evaluation_step(project, folders, dataset, model, last) for dataset in evaluated(project)]
    if project.maps is not None:
        for dataset in mapped(project):
            steps += map_steps(project, folders, dataset, model, last)
        steps += [
            accuracy_step(project, folders, dataset) for dataset in mapped(project) if compared(project, dataset)
        ]
    return steps


def prepare_step(project: Project, dataset: ProjectDataset) -> Step:
    """Scenes and labels of a dataset to tiles for training, validation and test."""
    chosen = ("--attribute", dataset.attribute) if dataset.attribute else ()
    labels = [word for place in dataset.labels for word in ("--labels", place)]
    words = [
        *("s5-hf", "prepare-scenes", *dataset.scenes, *labels, *chosen, "--classes", class_words(dataset.classes)),
        *("--unlabelled", dataset.unlabelled, "--tile-size", str(dataset.tile_size), "--output", dataset.folder),
        *options({"seed": project.seed, **dataset.prepare}),
    ]
    reads = (*find_scenes(dataset.scenes), *dataset.labels)
    title = f"tiles of {dataset.name} from {len(find_scenes(dataset.scenes))} scenes"
    return Step(f"prepare-{dataset.name}", "prepare", title, tuple(words), (Path(dataset.folder),), (), reads)


def class_words(classes: Sequence[str] | Mapping[str, Any]) -> str:
    """Classes, and the values that mean them, as `s5-hf prepare-scenes --classes` takes them."""
    if not isinstance(classes, Mapping):
        return ",".join(classes)
    values = {name: meant if isinstance(meant, list) else [meant] for name, meant in classes.items()}
    return ",".join(f"{name}={'|'.join(map(str, meant))}" for name, meant in values.items())


def learning_steps(project: Project, folders: ProjectFolders, before: tuple[str, ...]) -> list[Step]:
    """The trainings and the curation, after the steps `before`."""
    first, every = project.datasets[:1], project.datasets
    made: list[Step] = []

    def training(
        part: str, kind: str, title: str, recipe: Mapping[str, Any], data: tuple[ProjectDataset, ...]
    ) -> None:
        path = folders.recipe(part)
        made.append(
            Step(
                name=part,
                part=part,
                title=title,
                words=(*training_command(project), kind, str(path)),
                makes=(folders.run(part),),
                after=(*before, *(step.name for step in made)),
                reads=(*(dataset.folder for dataset in data), *archive_of(project, part)),
                recipe=(path, recipe),
            )
        )

    if project.first is not None:
        title = f"a small segmenter, from the labelled images of {first[0].name}"
        training("first", "segmentation", title, first_recipe(project, folders), first)
    if project.curate is not None:
        made.append(curation_step(project, folders, (*before, *(step.name for step in made))))
    if project.pretrain is not None:
        recipe = pretraining_recipe(project, folders)
        title = f"labelled images of {first[0].name}, and images without labels ({recipe.get('method', 'fixmatch')})"
        training("pretrain", "s4p", title, recipe, first)
    if project.finetune is not None:
        recipe = finetuning_recipe(project, folders)
        title = f"{' and '.join(dataset.name for dataset in every)} (mode {recipe['mode']})"
        training("finetune", "segmentation", title, recipe, every)
    return made


def training_command(project: Project) -> tuple[str, ...]:
    """The beginning of the command of a training, in this process or in several."""
    if project.launcher is None:
        return "s5-hf", "train"
    processes = ("--num_processes", str(project.launcher.processes))
    return (*LAUNCH, *processes, *options(project.launcher.options), "-m", "s5_hf.training")


def archive_of(project: Project, part: str) -> tuple[str, ...]:
    """The archive, where a training reads it itself."""
    return project.archive if part == "pretrain" and project.curate is None else ()


def curation_step(project: Project, folders: ProjectFolders, after: tuple[str, ...]) -> Step:
    """Score, cluster, select, export."""
    path = folders.recipe("curate")
    return Step(
        name="curate",
        part="curate",
        title="score, cluster, select, export",
        words=("s5-hf", "curate", "run", str(path)),
        makes=(folders.curated,),
        after=after,
        reads=(*(dataset.folder for dataset in project.datasets), *project.archive),
        recipe=(path, curation_recipe(project, folders)),
    )


def final_model(project: Project, folders: ProjectFolders) -> Path:
    """The model that is evaluated and maps: of the last training, its best weights where some are chosen."""
    part = next((name for name in ("finetune", "pretrain", "first") if getattr(project, name) is not None), "first")
    if part == "finetune" and finetuning_recipe(project, folders)["selection"] != "last":
        return folders.run(part) / "best" / "mean"
    return folders.run(part) / "segmenter"


def mapped(project: Project) -> tuple[ProjectDataset, ...]:
    """The datasets that the last model has a task for."""
    return project.datasets if project.finetune is not None else project.datasets[:1]


def evaluated(project: Project) -> tuple[ProjectDataset, ...]:
    """The datasets that the last model can be scored on.

    Raises:
        ValueError: if one of them has no images for that.
    """
    for dataset in mapped(project):
        evaluation_split(project, dataset)
    return mapped(project)


def evaluation_split(project: Project, dataset: ProjectDataset) -> str:
    """The split on which a model is scored."""
    known, wanted = splits_of(dataset), project.evaluate.split if project.evaluate else None
    found = [split for split in ([wanted] if wanted else HONEST_SPLITS) if split in known]
    if not found:
        missing = wanted or " or ".join(HONEST_SPLITS)
        raise ValueError(
            f"{project.path}: evaluate: {dataset.folder} has no split {missing}, only {', '.join(known)}; "
            "evaluate: false leaves the step out"
        )
    return found[0]


def evaluation_step(
    project: Project, folders: ProjectFolders, dataset: ProjectDataset, model: Path, after: tuple[str, ...]
) -> Step:
    """A model on one dataset."""
    split, output = evaluation_split(project, dataset), folders.evaluation(dataset.name)
    chosen = ("--task", dataset.name) if project.finetune is not None else ()
    classes = json.dumps(dataset.labels_of_classes)
    words = [
        *("s5-hf", "evaluate", str(model), "--dataset", OWN_DATASET, "--data-dir", dataset.folder, "--split", split),
        *(*chosen, "--output", str(output), "--option", f"classes={classes}", *options(project.evaluate.options)),
    ]
    title = f"the model on {dataset.name}, split {split}"
    return Step(f"evaluate-{dataset.name}", "evaluate", title, tuple(words), (output,), after, (dataset.folder,))


def map_steps(
    project: Project, folders: ProjectFolders, dataset: ProjectDataset, model: Path, after: tuple[str, ...]
) -> list[Step]:
    """The scenes in the classes of one dataset, and pages to look at the first of them."""
    settings, output = project.maps, folders.maps(dataset.name)
    chosen = ("--task", dataset.name) if project.finetune is not None else ()
    polygons = ("--polygons", settings.polygons) if settings.polygons else ()
    words = [
        *("s5-hf", "predict", str(model), *project.scenes, str(output), *chosen, "--window", str(settings.window)),
        *("--overlap", str(settings.overlap), "--overlay", "--areas", *polygons, "--resume"),
        *options(settings.options),
    ]
    scenes = find_scenes(project.scenes)
    maps = [SceneFiles.of_scene(scene, output, MapProducts()).classes for scene in scenes]
    title = f"{len(scenes)} scene{'s' if len(scenes) > 1 else ''} in the classes of {dataset.name}"
    name = f"map-{dataset.name}"
    steps = [Step(name, "maps", title, tuple(words), (output,), after, tuple(scenes))]
    for path in maps[: settings.pages]:
        page = path.with_suffix(".html")
        words = ["s5-hf", "view", str(path), "--output", str(page)]
        steps.append(
            Step(f"view-{dataset.name}-{path.stem}", "maps", "a page to look at", tuple(words), (page,), (name,))
        )
    return steps


def compared(project: Project, dataset: ProjectDataset) -> bool:
    """Whether maps can be compared with labels that no training has seen: those of tiles of scenes that are mapped,
    and know where they lie."""
    if project.evaluate is None or not project.evaluate.accuracy or not dataset.is_cut:
        return False
    mapped_scenes = {Path(scene).resolve() for scene in find_scenes(project.scenes) if not is_remote(scene)}
    own = [scene for scene in find_scenes(dataset.scenes) if not is_remote(scene)]
    return any(Path(scene).resolve() in mapped_scenes and has_crs(scene) for scene in own)


def accuracy_step(project: Project, folders: ProjectFolders, dataset: ProjectDataset) -> Step:
    """User's and producer's accuracy of the maps on the tiles of the split that is evaluated."""
    split, output = evaluation_split(project, dataset), folders.accuracy(dataset.name)
    reference = Path(dataset.folder) / split / "masks"
    words = ("s5-hf", "accuracy", str(folders.maps(dataset.name)), str(reference), "--output", str(output))
    after = (f"prepare-{dataset.name}", f"map-{dataset.name}")
    title = f"the maps in the classes of {dataset.name}, on the ground of the split {split}"
    return Step(f"accuracy-{dataset.name}", "accuracy", title, words, (output,), after)


def options(given: Mapping[str, Any]) -> list[str]:
    """`{"minimum-area": 20, "entropy": True}` as words of a command line."""
    words = []
    for key, value in given.items():
        option = f"--{str(key).replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not False and value is not None:
            for entry in value if isinstance(value, list) else [value]:
                words += [option, str(entry)]
    return words


def count_archive(project: Project) -> int:
    """Images of the archive."""
    return sum(len(images_of(Path(place))) for place in project.archive)
