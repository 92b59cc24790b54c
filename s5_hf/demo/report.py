"""The report of the demonstration: one HTML page with the commands, what they made, and how it compares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from datasets import load_dataset
from PIL import Image
from safetensors.torch import load_file

from ..curation import SelectionFolder
from ..files.atomic import write_text
from ..pages import class_legend, commands, details, line_chart, overlay, page, picture, picture_grid, table
from ..synthetic import SCENE_PALETTE
from .chain import PARTS, Step
from .folders import DemoFolders
from .recipes import CITY, ROADS, TASK_LABELS
from .results import FINE_TUNED, curve, fine_tuning_rows, last, load_validation, mean_curve, predict
from .settings import DemoSettings

__all__ = ["write_demo_report"]

PALETTES = {CITY: SCENE_PALETTE, ROADS: (SCENE_PALETTE[0], SCENE_PALETTE[1])}
PRETRAINED = {"supervised": "supervised", "S4P (FixMatch)": "s4p"}
PLANTED = {
    "noise": "noise",
    "blank": "blank patch",
    "copy": "copy of an archive image",
    "validation": "validation image",
}
SHOWN = 4


def write_demo_report(
    settings: DemoSettings, folders: DemoFolders, steps: Sequence[Step], seconds: Mapping[str, float]
) -> Path:
    """Write the report on a finished chain.

    Args:
        settings: sizes of the demonstration.
        folders: of the demonstration.
        steps: of the chain, all finished.
        seconds: that each step took, by its name.

    Returns:
        The path of the page.
    """
    content = overview(settings, folders, sum(seconds[step.name] for step in steps))
    for number, (part, heading) in enumerate(PARTS.items(), 1):
        made_by = [(step.command, seconds[step.name]) for step in steps if step.part == part]
        content += f'<h2 id="{part}">{number}. {heading}</h2>' + commands(made_by) + SECTIONS[part](settings, folders)
    write_text(folders.report, page("S5 in miniature", content))
    return folders.report


def overview(settings: DemoSettings, folders: DemoFolders, seconds: float) -> str:
    """The scene, its maps, and the comparisons."""
    text = (
        "<p>The whole way of S5 on made-up scenes: a first segmenter scores an archive, the images with reliable "
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


def data_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """Some images of each kind with their labels."""
    section = ""
    for task, what in ((CITY, "six classes, 0.5 m per pixel"), (ROADS, "two classes, 0.75 m per pixel")):
        shown = load_validation(folders, task)[:SHOWN]
        cells = [picture(entry.image) for entry in shown]
        cells += [picture(overlay(entry.image, entry.classes, PALETTES[task])) for entry in shown]
        section += f"<h3>{task}: {what}</h3>" + class_legend(TASK_LABELS[task], PALETTES[task])
        section += picture_grid(cells, len(shown))
    paths = sorted((folders.data / "archive").iterdir())
    planted = [next(path for path in paths if path.name.startswith(f"{kind}_")) for kind in PLANTED]
    cells = [picture(Image.open(path), path.name, 160) for path in [*paths[:SHOWN], *planted]]
    return (
        section
        + f"<h3>The archive: {len(paths)} images without labels, some planted</h3>"
        + picture_grid(cells, len(cells), width=120)
    )


def first_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """What the first segmenter makes of validation images."""
    return prediction_grid(folders, CITY, {"first segmenter": (folders.first_segmenter, None)})


def curation_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """What was chosen, with pseudo-labels, and what became of the planted images."""
    selection = SelectionFolder.open(folders.curated / "selection")
    counts = [(reason, str(count)) for reason, count in selection.summary["counts"].items() if count]
    chosen = [name.rpartition("/")[2] for name in selection.chosen()["id"].to_pylist()]
    names = [path.stem for path in (folders.data / "archive").iterdir()]
    planted = [
        (what, *(str(sum(name.startswith(f"{kind}_") for name in group)) for group in (names, chosen)))
        for kind, what in PLANTED.items()
    ]
    samples = load_dataset("rs4p-1m", data_dir=str(folders.curated / "dataset"), split="train", streaming=True)
    shown = sorted(samples, key=lambda sample: sample["entropy"])
    shown = [shown[place] for place in np.unique(np.linspace(0, len(shown) - 1, 6).round().astype(int))]
    images = [np.asarray(sample["image"].convert("RGB")) for sample in shown]
    cells = [picture(image, f"{sample['entropy']:.3f} nats") for image, sample in zip(images, shown, strict=True)] + [
        picture(overlay(image, np.asarray(sample["pseudo_mask"]), SCENE_PALETTE))
        for image, sample in zip(images, shown, strict=True)
    ]
    return (
        "<h3>What became of the candidates</h3>"
        + table(("candidates", "images"), counts)
        + "<h3>What was planted</h3>"
        + table(("", "in the archive", "chosen"), planted)
        + "<p class='note'>Noise is known by its incoherence, a blank by its contrast, copies by perceptual hashes. "
        "Of copies the one named first stays: the original.</p>"
        + "<h3>Chosen, with pseudo-labels, from the lowest to the highest entropy</h3>"
        + class_legend(TASK_LABELS[CITY], SCENE_PALETTE)
        + picture_grid(cells, len(shown), width=165)
        + f"<p>All of it: <a href='curated/report.html'>{folders.curated / 'report.html'}</a></p>"
        + recipe(folders, "curation")
    )


def pretraining_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """Curves, comparison and predictions of both pre-trainings."""
    losses = {name: curve(folders.run(run), "loss_supervised") for name, run in PRETRAINED.items()}
    miou = {name: curve(folders.run(run), "validation/miou") for name, run in PRETRAINED.items()}
    health = {
        "share of confident pixels": curve(folders.run("s4p"), "mask_ratio"),
        "unsupervised loss": curve(folders.run("s4p"), "loss_unsupervised"),
    }
    charts = [
        line_chart(losses, "step", "loss on labelled images"),
        line_chart(miou, "step", "validation mIoU, percent"),
        line_chart(health, "step", "S4P on curated images"),
    ]
    models = {name: (folders.segmenter(run), None) for name, run in PRETRAINED.items()}
    return (
        pretraining_table(folders)
        + f'<div class="charts">{"".join(charts)}</div>'
        + prediction_grid(folders, CITY, models)
        + recipe(folders, "pretraining")
    )


def fine_tuning_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """Curves and predictions of one and two models for two datasets."""
    miou = {name: mean_curve(folders, runs) for name, runs in FINE_TUNED.items()}
    losses = {
        f"{task}, {name}": curve(folders.run(run), f"loss/{task}")
        for task in TASK_LABELS
        for name, run in (("SDF", f"sdf-{task}"), ("MDF", "mdf"), ("MoE-MDF", "moe"))
    }
    charts = [
        line_chart(losses, "step", "loss of each task"),
        line_chart(miou, "step", "mean validation mIoU of the tasks, percent"),
    ]
    section = f'<div class="charts">{"".join(charts)}</div>'
    for task in TASK_LABELS:
        models = {
            name: (folders.segmenter(runs[task]), None if "SDF" in name else task) for name, runs in FINE_TUNED.items()
        }
        section += f"<h3>{task}</h3>" + prediction_grid(folders, task, models)
    return section + recipe(folders, "fine_tuning")


def evaluation_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """The reports of the evaluations."""
    section, pictures = "", []
    for task in TASK_LABELS:
        folder = folders.evaluation(task)
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        means = [name for name in ("mIoU", "mF1", "mAcc", "OA", "boundary_mIoU") if name in found]
        section += f"<h3>{task}</h3>" + table(("", *means), [("all", *(percent(found[name]) for name in means))])
        columns = ("IoU", "F1", "precision", "recall", "boundary_IoU", "share")
        rows = [(label, *(percent(row[name]) for name in columns)) for label, row in found["per_class"].items()]
        section += table(("class", *columns), rows)
        pictures.append(picture(Image.open(folder / "confusion_matrix.png"), largest=520))
    return section + picture_grid(pictures, len(pictures), width=480)


def prediction_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """The scene in the classes of both tasks."""
    view = folders.maps / f"{CITY}.html"
    return scene_pictures(folders, 350) + f"<p>With a divider to move: <a href='maps/{view.name}'>{view}</a></p>"


def official_section(settings: DemoSettings, folders: DemoFolders) -> str:
    """Whether the way to the official layout and back keeps every tensor."""
    before = load_file(folders.segmenter("s4p") / "model.safetensors")
    after = load_file(folders.official / "s4p" / "model.safetensors")
    same = sum(name in after and tensor.equal(after[name]) for name, tensor in before.items())
    size = (folders.official / "s4p.pth").stat().st_size / 1e6
    return (
        f"<p>The pre-trained segmenter as a checkpoint of the official S5 code ({size:.1f} MB), read again: "
        f"{same} of {len(before)} tensors are the same, bit for bit.</p>"
    )


SECTIONS: dict[str, Callable[[DemoSettings, DemoFolders], str]] = {
    "data": data_section,
    "first": first_section,
    "curation": curation_section,
    "pretraining": pretraining_section,
    "fine_tuning": fine_tuning_section,
    "evaluation": evaluation_section,
    "prediction": prediction_section,
    "official": official_section,
}


def pretraining_table(folders: DemoFolders) -> str:
    """mIoU and IoU of each class of both pre-trainings."""
    names = ["miou", *(f"iou/{label}" for label in TASK_LABELS[CITY])]
    rows = [
        (name, *(percent(last(folders.run(run), f"validation/{value}")) for value in names))
        for name, run in PRETRAINED.items()
    ]
    return table(("", "mIoU", *TASK_LABELS[CITY]), rows)


def scene_pictures(folders: DemoFolders, width: int) -> str:
    """The scene beside its two maps."""
    scene = np.asarray(Image.open(folders.data / "scene.png").convert("RGB"))
    cells = [picture(scene, largest=700)]
    for task in TASK_LABELS:
        classes = np.asarray(Image.open(folders.maps / f"{task}.png"))
        cells.append(picture(overlay(scene, classes, PALETTES[task]), largest=700))
    heads = ("scene", f"MoE-MDF, task {CITY}", f"the same model, task {ROADS}")
    return picture_grid(cells, 3, heads, width) + class_legend(TASK_LABELS[CITY], SCENE_PALETTE)


def prediction_grid(folders: DemoFolders, task: str, models: dict) -> str:
    """Validation images, their true classes, and what some models make of them.

    Args:
        folders: of the demonstration.
        task: whose images.
        models: folder of the model, and its task where it has several, by the head of the column.
    """
    shown = load_validation(folders, task)[:SHOWN]
    images = [entry.image for entry in shown]
    columns = [[picture(image) for image in images]]
    found = [[entry.classes for entry in shown], *(predict(folder, images, own) for folder, own in models.values())]
    for classes in found:
        columns.append(
            [picture(overlay(image, ids, PALETTES[task])) for image, ids in zip(images, classes, strict=True)]
        )
    cells = [cell for row in zip(*columns, strict=True) for cell in row]
    return class_legend(TASK_LABELS[task], PALETTES[task]) + picture_grid(
        cells, len(columns), ("image", "true classes", *models)
    )


def recipe(folders: DemoFolders, name: str) -> str:
    """A recipe's text, folded."""
    path = folders.recipe(name)
    return details(str(path), path.read_text(encoding="utf-8"))


def percent(value: float | None) -> str:
    """A score, which is in percent; a dash where it is not defined."""
    return "-" if value is None or value != value else f"{value:.1f}"
