"""The chain: a project on synthetic data, and besides it the steps that compare and convert what it leaves."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..project.folders import ProjectFolders
from ..project.settings import Project
from ..project.steps import PARTS as PROJECT_PARTS
from ..project.steps import Step, project_steps
from ..synthetic import SCENE_LABELS
from .settings import DemoSettings

__all__ = ["CITY", "PARTS", "ROADS", "TASK_LABELS", "chain", "data_step", "project_content"]

CITY, ROADS = "city", "roads"
TASK_LABELS = {CITY: tuple(SCENE_LABELS), ROADS: ("ground", "road")}
PARTS = {
    "data": "Make data",
    **{part: heading for part, heading in PROJECT_PARTS.items() if part not in ("prepare", "accuracy")},
    "official": "To the official layout and back",
    "pair": "Beside the chain: what unlabelled images bring",
}
"""The parts of the report in their order: name and heading."""


def data_step(settings: DemoSettings, output: Path) -> Step:
    """The data that the project file names."""
    data = output / "data"
    words = [
        *("python", "examples/make_synthetic_data.py", data),
        *("--size", settings.size, "--labelled", settings.labelled, "--validation", settings.validation),
        *("--archive", settings.archive, "--scene", settings.scene, "--seed", settings.seed),
        *(("--shores", settings.shores) if settings.shores else ()),
    ]
    title = "two labelled datasets, an archive, a scene" + (", tiles of land and water" if settings.shores else "")
    return Step("data", "data", title, tuple(map(str, words)), (data,))


def project_content(settings: DemoSettings) -> dict[str, Any]:
    """What the project file says; its paths are relative to it."""
    training = {"total_steps": settings.steps, "crop_size": settings.crop}
    return {
        "output": ".",
        "seed": settings.seed,
        "datasets": [
            {"name": name, "folder": f"data/{name}", "classes": list(labels)} for name, labels in TASK_LABELS.items()
        ],
        "archive": ["data/archive"],
        "scenes": ["data/scene.png"],
        "first": {**training, "learning_rate": 0.002},
        "curate": {"target": settings.target, "clusters": 3, "score": {"part_size": 32}},
        "pretrain": {**training, "learning_rate": 1.5e-3, "warmup_steps": settings.steps // 10},
        "finetune": {**training, "learning_rate": 1.5e-3, "warmup_steps": settings.steps // 10},
        "evaluate": True,
        "maps": {"window": 2 * settings.crop, "overlap": 0.5},
    }


def chain(project: Project) -> list[Step]:
    """All steps after the data, in their order: what is compared follows what it is compared with."""
    folders, steps = ProjectFolders(project.output), []
    for step in project_steps(project):
        steps.append(step)
        if step.name == "pretrain":
            steps.append(variant(step, folders, "supervised", "labelled images only", {"method": "supervised"}))
        elif step.name == "finetune":
            steps += [
                variant(step, folders, f"sdf-{name}", f"{name} alone (SDF)", {"mode": "sdf", "datasets": name})
                for name in TASK_LABELS
            ]
            what = f"{CITY} and {ROADS}, one decoder each (MDF)"
            steps.append(variant(step, folders, "mdf", what, {"mode": "mdf"}))
    return [*steps, *official_steps(folders)]


def variant(training: Step, folders: ProjectFolders, name: str, what: str, changes: Mapping[str, str]) -> Step:
    """A training of the project for as many steps, with some keys of its recipe changed."""
    output = folders.run(name)
    options = [word for key, value in changes.items() for word in (f"--{key}", value)]
    return replace(
        training,
        name=name,
        title=f"for comparison: {what}",
        words=(*training.words, *options, "--output-dir", str(output)),
        makes=(output,),
    )


def official_steps(folders: ProjectFolders) -> list[Step]:
    """What the checkpoint files of the official code need."""
    model, labels = folders.run("pretrain") / "segmenter", ",".join(TASK_LABELS[CITY])
    folder = folders.output / "official"
    file, back = folder / "s4p.pth", folder / "s4p"
    to_official = ("s5-hf", "convert", str(model), str(file))
    shape = ("--task", CITY, "--classes", labels, "--num-attention-heads", "4")
    from_official = ("s5-hf", "convert", str(file), str(back), *shape)
    return [
        Step("to-official", "official", "write an official checkpoint", to_official, (file,), ("pretrain",)),
        Step("from-official", "official", "and read it", from_official, (back,), ("to-official",)),
    ]
