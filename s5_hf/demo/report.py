"""The report of the demonstration: that of its project, with what it compares and converts besides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file

from ..curation import SelectionFolder
from ..files.atomic import write_text
from ..imaging.natural_colors import natural_palette
from ..pages import class_legend, details, line_chart, overlay, page, picture, picture_grid, table
from ..project import report as project_report
from ..project.folders import ProjectFolders
from ..project.record import Record
from ..project.report import curve, part_sections, percent
from ..project.settings import Project
from ..project.steps import Step
from ..training.run_folder import read_log
from .chain import CITY, PARTS, ROADS, TASK_LABELS
from .pair import LABELLED, PAIR_ARMS, SHORES
from .results import FINE_TUNED, LABELS, fine_tuning_rows, last, load_validation, mean_curve, predict
from .settings import DemoSettings

__all__ = ["SECTIONS", "write_demo_report"]

PALETTES = {task: natural_palette(labels) for task, labels in LABELS.items()}
PRETRAINED = {"supervised": "supervised", "S4P (FixMatch)": "pretrain"}
PLANTED = {
    "noise": "noise",
    "blank": "blank patch",
    "copy": "copy of an archive image",
    "validation": "validation image",
}
SHOWN = 4
SEVERAL_SEEDS = "One seed says little: benchmarks/s4p_effect.md has the same comparison over five."


def write_demo_report(settings: DemoSettings, project: Project, steps: Sequence[Step], record: Record) -> Path:
    """Write the report on a finished chain.

    Args:
        settings: sizes of the demonstration.
        project: that it has written.
        steps: of the chain, all finished.
        record: with the seconds that each step took.

    Returns:
        The path of the page.
    """
    folders = ProjectFolders(project.output)
    content = overview(settings, folders, sum(record.seconds(step) or 0 for step in steps))
    content += part_sections(project, steps, record, PARTS, SECTIONS)
    content += details(str(project.path), project.path.read_text(encoding="utf-8"))
    write_text(folders.report, page("S5 in miniature", content))
    return folders.report


def overview(settings: DemoSettings, folders: ProjectFolders, seconds: float) -> str:
    """The scene, its maps, and the comparisons."""
    text = (
        "<p>The whole way of S5 on synthetic scenes: a first segmenter scores an archive, the images with reliable "
        "pseudo-labels become a dataset, semi-supervised pre-training (S4P) learns from them, and one mixture of "
        "experts (MoE-MDF) serves two datasets with different classes. Every step is a command; they stand below. "
        f"<span class='time'>All commands: {seconds / 60:.1f} minutes, in one process on one thread.</span></p>"
    )
    rows = fine_tuning_rows(folders)
    best = max(rows, key=lambda row: row["mean"])["name"]
    note = (
        f"<p class='note'>mIoU in percent on {settings.validation} validation images of each dataset, after the last "
        f"of {settings.steps} steps; no weights are chosen. One seed, tiny networks, minutes of training: differences "
        f"of some points can turn around with another seed. In this run {best} has the highest mean.</p>"
    )
    return (
        text
        + scene_pictures(folders, 350)
        + "<h2>Comparisons</h2><h3>Pre-training: labelled images only, or with curated ones</h3>"
        + pretraining_table(folders)
        + "<h3>Fine-tuning: a model for each dataset, or one for both</h3>"
        + table(
            ("", "models", "parameters", f"{CITY} mIoU", f"{ROADS} mIoU", "mean"),
            [
                (
                    *(row["name"], str(row["models"]), f"{row['parameters'] / 1e6:.2f} M"),
                    *(percent(row[name]) for name in (CITY, ROADS, "mean")),
                )
                for row in rows
            ],
        )
        + note
    )


def data_section(folders: ProjectFolders) -> str:
    """Some images of the archive, and those that were planted."""
    paths = archive_images(folders)
    planted = [next(path for path in paths if path.name.startswith(f"{kind}_")) for kind in PLANTED]
    cells = [picture(Image.open(path), path.name, 160) for path in [*paths[:SHOWN], *planted]]
    return "<p>Some of its images are planted:</p>" + picture_grid(cells, len(cells), width=120)


def archive_images(folders: ProjectFolders) -> list[Path]:
    """The images of the archive."""
    return sorted((folders.output / "data" / "archive").iterdir())


def first_section(folders: ProjectFolders) -> str:
    """What the first segmenter makes of validation images."""
    return prediction_grid(folders, CITY, {"first segmenter": ("first", None)})


def curation_section(folders: ProjectFolders) -> str:
    """What became of the planted images."""
    selection = SelectionFolder.open(folders.curated / "selection")
    chosen = [name.rpartition("/")[2] for name in selection.chosen()["id"].to_pylist()]
    names = [path.stem for path in archive_images(folders)]
    planted = [
        (what, *(str(sum(name.startswith(f"{kind}_") for name in group)) for group in (names, chosen)))
        for kind, what in PLANTED.items()
    ]
    return (
        "<h3>What was planted</h3>"
        + table(("", "in the archive", "chosen"), planted)
        + "<p class='note'>Noise is known by its incoherence, a blank by its contrast, copies by perceptual hashes. "
        "Of copies the one named first stays: the original.</p>"
    )


def pretraining_section(folders: ProjectFolders) -> str:
    """Curves, comparison and predictions of both pre-trainings."""
    losses = {name: curve(folders.run(run), "loss_supervised") for name, run in PRETRAINED.items()}
    miou = {name: curve(folders.run(run), "validation/miou") for name, run in PRETRAINED.items()}
    health = {
        "share of confident pixels": curve(folders.run("pretrain"), "mask_ratio"),
        "unsupervised loss": curve(folders.run("pretrain"), "loss_unsupervised"),
    }
    charts = [
        line_chart(losses, "step", "loss on labelled images"),
        line_chart(miou, "step", "validation mIoU, percent"),
        line_chart(health, "step", "S4P on curated images"),
    ]
    models = {name: (run, None) for name, run in PRETRAINED.items()}
    return (
        "<h3>Compared: labelled images only, and with curated ones</h3>"
        + pretraining_table(folders)
        + f'<div class="charts">{"".join(charts)}</div>'
        + prediction_grid(folders, CITY, models)
    )


def fine_tuning_section(folders: ProjectFolders) -> str:
    """Curves and predictions of one and two models for two datasets."""
    miou = {name: mean_curve(folders, runs) for name, runs in FINE_TUNED.items()}
    losses = {
        f"{task}, {name}": curve(folders.run(run), f"loss/{task}")
        for task in TASK_LABELS
        for name, run in (("SDF", f"sdf-{task}"), ("MDF", "mdf"), ("MoE-MDF", "finetune"))
    }
    charts = [
        line_chart(losses, "step", "loss of each task"),
        line_chart(miou, "step", "mean validation mIoU of the tasks, percent"),
    ]
    section = "<h3>Compared: a model for each dataset, and one for both</h3>"
    section += f'<div class="charts">{"".join(charts)}</div>'
    for task in TASK_LABELS:
        models = {name: (runs[task], None if "SDF" in name else task) for name, runs in FINE_TUNED.items()}
        section += f"<h3>{task}</h3>" + prediction_grid(folders, task, models)
    return section


def official_section(folders: ProjectFolders) -> str:
    """Whether the way to the official layout and back keeps every tensor."""
    official = folders.output / "official"
    before = load_file(folders.run("pretrain") / "segmenter" / "model.safetensors")
    after = load_file(official / "s4p" / "model.safetensors")
    same = sum(name in after and tensor.equal(after[name]) for name, tensor in before.items())
    size = (official / "s4p.pth").stat().st_size / 1e6
    return (
        f"<p>The pre-trained segmenter as a checkpoint of the official S5 code ({size:.1f} MB), read again: "
        f"{same} of {len(before)} tensors are the same, bit for bit.</p>"
    )


def pair_section(folders: ProjectFolders) -> str:
    """What unlabelled tiles bring to a residual network: this run, and what several seeds came to."""
    names = ("miou", *(f"iou/{label}" for label in LABELS[SHORES]))
    rows = []
    for arm, run in PAIR_ARMS.items():
        scores = (percent(last(folders.run(run), f"validation/{name}")) for name in names)
        rows.append((arm, *scores, str(read_log(folders.run(run))[-1]["step"])))
    tiles = [
        sum(1 for _ in (folders.output / "data" / SHORES / split / "images").iterdir()) for split in ("train", "val")
    ]
    models = {arm: (run, None) for arm, run in PAIR_ARMS.items() if run != "pair-start"}
    return (
        f"<p>{LABELLED} tiles of land and water have labels, {tiles[0] - LABELLED} others have none: "
        "they show other light and other colours. Three runs go on from one supervised start, on the same labelled "
        f"tiles; scores are those of the {tiles[1]} validation tiles after the last step, no weights are chosen.</p>"
        + table(("", "mIoU", *LABELS[SHORES], "steps"), rows)
        + f"<p class='note'>{SEVERAL_SEEDS}</p>"
        + prediction_grid(folders, SHORES, models)
    )


def both(
    usual: Callable[[Project, ProjectFolders], str], own: Callable[[ProjectFolders], str]
) -> Callable[[Project, ProjectFolders], str]:
    """The section of a project, and what the demonstration adds to it."""
    return lambda project, folders: usual(project, folders) + own(folders)


SECTIONS: dict[str, Callable[[Project, ProjectFolders], str]] = {
    "data": both(project_report.data_section, data_section),
    "first": both(project_report.SECTIONS["first"], first_section),
    "curate": both(project_report.SECTIONS["curate"], curation_section),
    "pretrain": both(project_report.SECTIONS["pretrain"], pretraining_section),
    "finetune": both(project_report.SECTIONS["finetune"], fine_tuning_section),
    "evaluate": project_report.SECTIONS["evaluate"],
    "maps": project_report.SECTIONS["maps"],
    "official": lambda project, folders: official_section(folders),
    "pair": lambda project, folders: pair_section(folders),
}


def pretraining_table(folders: ProjectFolders) -> str:
    """mIoU and IoU of each class of both pre-trainings."""
    names = ["miou", *(f"iou/{label}" for label in TASK_LABELS[CITY])]
    rows = [
        (name, *(percent(last(folders.run(run), f"validation/{value}")) for value in names))
        for name, run in PRETRAINED.items()
    ]
    return table(("", "mIoU", *TASK_LABELS[CITY]), rows)


def scene_pictures(folders: ProjectFolders, width: int) -> str:
    """The scene beside its two maps."""
    scene = np.asarray(Image.open(folders.output / "data" / "scene.png").convert("RGB"))
    cells = [picture(scene, largest=700)]
    for task in TASK_LABELS:
        classes = np.asarray(Image.open(folders.maps(task) / "scene.tif"))
        cells.append(picture(overlay(scene, classes, PALETTES[task]), largest=700))
    heads = ("scene", f"MoE-MDF, task {CITY}", f"the same model, task {ROADS}")
    return picture_grid(cells, 3, heads, width) + class_legend(TASK_LABELS[CITY], PALETTES[CITY])


def prediction_grid(folders: ProjectFolders, task: str, models: dict) -> str:
    """Validation images, their true classes, and what some models make of them.

    Args:
        folders: of the demonstration.
        task: whose images.
        models: run of the model, and its task where it has several, by the head of the column.
    """
    shown = load_validation(folders, task)[:SHOWN]
    images = [entry.image for entry in shown]
    columns = [[picture(image) for image in images]]
    predictions = [predict(folders.run(run) / "segmenter", images, own) for run, own in models.values()]
    found = [[entry.classes for entry in shown], *predictions]
    for classes in found:
        columns.append(
            [picture(overlay(image, ids, PALETTES[task])) for image, ids in zip(images, classes, strict=True)]
        )
    cells = [cell for row in zip(*columns, strict=True) for cell in row]
    return class_legend(LABELS[task], PALETTES[task]) + picture_grid(
        cells, len(columns), ("image", "true classes", *models)
    )
