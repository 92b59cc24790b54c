"""The report of a project: one page with every step, its command and its time, and what came of it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from datasets import Dataset, load_dataset
from PIL import Image

from ..files.atomic import write_text
from ..imaging import display_picture
from ..imaging.natural_colors import natural_palette
from ..imaging.palettes import Palette
from ..pages import (
    Points,
    class_legend,
    commands,
    details,
    line_chart,
    overlay,
    page,
    picture,
    picture_grid,
    table,
)
from ..scenes.class_maps import open_class_map
from ..scenes.reduction import reduce_class_map, reduction_factor
from ..training.run_folder import read_log
from ..training.views.strong import color_positions
from .folders import ProjectFolders
from .recipes import OWN_DATASET, splits_of
from .record import Record
from .settings import Project, ProjectDataset
from .steps import PARTS, Step, count_archive, mapped

__all__ = ["SECTIONS", "curve", "data_section", "overview", "part_sections", "percent", "write_project_report"]

SHOWN = 4
MEANS = ("mIoU", "mF1", "mAcc", "OA", "boundary_mIoU")
ACCURACIES = {
    "users_accuracy": "user's accuracy",
    "producers_accuracy": "producer's accuracy",
    "F1": "F1",
    "mapped_share": "share of the maps",
}
ERROR_PICTURE = 700
UNCOMPARED = (232, 232, 232)
COLUMNS = ("IoU", "F1", "precision", "recall", "boundary_IoU", "share")


def write_project_report(project: Project, steps: Sequence[Step], record: Record) -> Path:
    """Write the report on what is done.

    Args:
        project: of the file.
        steps: that are done, in their order.
        record: with their seconds.

    Returns:
        The path of the page.
    """
    folders = ProjectFolders(project.output)
    content = overview(project, steps, record) + f"<h2 id='data'>Data</h2>{data_section(project, folders)}"
    content += part_sections(project, steps, record, PARTS, SECTIONS)
    content += details(str(project.path), project.path.read_text(encoding="utf-8"))
    write_text(folders.report, page(f"The project {project.path.resolve().parent.name}", content))
    return folders.report


def part_sections(
    project: Project,
    steps: Sequence[Step],
    record: Record,
    parts: Mapping[str, str],
    sections: Mapping[str, Callable[[Project, ProjectFolders], str]],
) -> str:
    """The parts that have finished steps: heading, commands with times, and what came of them.

    Args:
        project: of the file.
        steps: that are done, in their order.
        record: with their seconds.
        parts: heading of each part, in the order of the page.
        sections: what draws the results of each part.
    """
    folders, content = ProjectFolders(project.output), ""
    for part, heading in parts.items():
        made_by = [(step.command, record.seconds(step) or 0.0) for step in steps if step.part == part]
        if made_by:
            content += f'<h2 id="{part}">{heading}</h2>{commands(made_by)}{sections[part](project, folders)}'
    return content


def overview(project: Project, steps: Sequence[Step], record: Record) -> str:
    """The steps with their times, and the scores of the last model."""
    rows = [(f"{PARTS[step.part]}: {step.title}", f"{record.seconds(step) or 0:.0f} s") for step in steps]
    total = sum(record.seconds(step) or 0 for step in steps)
    scores = [(name, *(percent(found[mean]) for mean in MEANS)) for name, found in evaluations(project).items()]
    section = table(("step", "time"), [*rows, ("all", f"{total / 60:.1f} min")])
    if scores:
        section += f"<h3>Scores of the last model, percent</h3>{table(('dataset', *MEANS), scores)}"
    return section


def evaluations(project: Project) -> dict[str, dict]:
    """The results of the evaluation of each dataset that has some."""
    files = {dataset.name: ProjectFolders(project.output).evaluation(dataset.name) for dataset in project.datasets}
    return {
        name: json.loads((folder / "results.json").read_text(encoding="utf-8"))
        for name, folder in files.items()
        if (folder / "results.json").is_file()
    }


def data_section(project: Project, folders: ProjectFolders) -> str:
    """Some images of every dataset with their labels, and the size of the archive."""
    section = ""
    for dataset in project.datasets:
        loaded = load(dataset, project.bands)
        splits = ", ".join(f"{len(samples)} {split}" for split, samples in loaded.items())
        palette = palette_of(dataset)
        section += f"<h3>{escape(dataset.name)}: {splits}</h3>{class_legend(dataset.labels_of_classes, palette)}"
        images, masks = [], []
        train = loaded["train"]
        for sample in train.select(range(min(SHOWN, len(train)))):
            image = display_picture(in_colors(sample["image"], project.bands))
            images.append(picture(image))
            masks.append(picture(overlay(image, np.asarray(sample["mask"]), palette)))
        section += picture_grid([*images, *masks], len(images))
    if project.archive:
        section += (
            f"<p>The archive: {count_archive(project):,} images without labels in {', '.join(project.archive)}.</p>"
        )
    return section


def load(dataset: ProjectDataset, bands: Sequence[str | int] | None = None) -> Mapping[str, Dataset]:
    """All splits of a dataset, with these bands of its images, or all."""
    chosen = {} if bands is None else {"bands": list(bands)}
    return load_dataset(OWN_DATASET, data_dir=dataset.folder, classes=list(dataset.labels_of_classes), **chosen)


def in_colors(image: Image.Image | np.ndarray, bands: Sequence[str | int] | None) -> Image.Image | np.ndarray:
    """An image of named bands with red, green and blue alone, others as they are."""
    positions = color_positions(bands, len(bands)) if bands and isinstance(image, np.ndarray) else None
    return image if positions is None else image[:, :, list(positions)]


def palette_of(dataset: ProjectDataset) -> Palette:
    """A colour for every class."""
    return natural_palette(dataset.labels_of_classes)


def training_section(part: str) -> Callable[[Project, ProjectFolders], str]:
    """The section of a training: curves, the last panel, the recipe."""

    def section(project: Project, folders: ProjectFolders) -> str:
        run = folders.run(part)
        entries = read_log(run)
        losses = sorted({key for entry in entries for key in entry if key == "loss" or key.startswith("loss/")})
        scores = sorted({key for entry in entries for key in entry if key.endswith("miou")})
        losses = losses if len(losses) > 2 else losses[:1]  # the loss of a single task is the loss
        charts = [line_chart({name: curve(run, name) for name in losses[:6]}, "step", "loss")]
        if scores:
            named = {name.removeprefix("validation/"): curve(run, name) for name in scores[:6]}
            charts.append(line_chart(named, "step", "mIoU on validation images, percent"))
        pictures = sorted((run / "panels").glob("*.png"))
        shown = picture(Image.open(pictures[-1]), largest=760) if pictures else ""
        recipe = folders.recipe(part)
        return f'<div class="charts">{"".join(charts)}</div>{shown}' + details(
            str(recipe), recipe.read_text(encoding="utf-8")
        )

    return section


def curation_section(project: Project, folders: ProjectFolders) -> str:
    """What became of the candidates, and the most certain of the chosen ones."""
    from ..curation import SelectionFolder

    summary = SelectionFolder.open(folders.curated / "selection").summary
    counts = [(reason, f"{count:,}") for reason, count in summary["counts"].items() if count]
    chosen = {} if project.bands is None else {"bands": list(project.bands)}
    place = str(folders.curated / "dataset")
    samples = load_dataset("rs4p-1m", data_dir=place, split="train", streaming=True, **chosen)
    dataset, images, masks = project.datasets[0], [], []
    for _, sample in zip(range(2 * SHOWN), samples, strict=False):
        image = display_picture(in_colors(sample["image"], project.bands))
        images.append(picture(image, f"{sample['entropy']:.3f} nats"))
        masks.append(picture(overlay(image, np.asarray(sample["pseudo_mask"]), palette_of(dataset))))
    recipe, report = folders.recipe("curate"), folders.curated / "report.html"
    return (
        table(("candidates", "patches"), counts)
        + f"<p>Some of the chosen ones with their pseudo-labels. More: {link(project, report)}</p>"
        + picture_grid([*images, *masks], len(images), width=130)
        + details(str(recipe), recipe.read_text(encoding="utf-8"))
    )


def evaluation_section(project: Project, folders: ProjectFolders) -> str:
    """The scores of every class, and the confusion matrices."""
    section, pictures = "", []
    for name, found in evaluations(project).items():
        rows = [(label, *(percent(row[column]) for column in COLUMNS)) for label, row in found["per_class"].items()]
        section += f"<h3>{escape(name)}</h3>{table(('class', *COLUMNS), rows)}"
        matrix = folders.evaluation(name) / "confusion_matrix.png"
        pictures += [picture(Image.open(matrix), largest=520)] if matrix.is_file() else []
    return section + picture_grid(pictures, len(pictures), width=480) + honesty(project)


def honesty(project: Project) -> str:
    """A sentence where weights were chosen on the images of the scores."""
    tested = [dataset for dataset in mapped(project) if "test" not in splits_of(dataset)]
    chosen = project.finetune is not None and project.finetune.keys.get("selection") == "validation"
    if not (tested and chosen):
        return ""
    return (
        "<p class='note'>The best weights were chosen on the images that are scored here: the scores are too good.</p>"
    )


def maps_section(project: Project, folders: ProjectFolders) -> str:
    """Scenes with their classes, areas, and links to pages and files."""
    section = ""
    for dataset in mapped(project):
        folder = folders.maps(dataset.name)
        overlays = sorted(folder.glob("*_overlay.png"))[:SHOWN]
        section += f"<h3>{escape(dataset.name)}</h3>{class_legend(dataset.labels_of_classes, palette_of(dataset))}"
        section += picture_grid([picture(Image.open(path), path.stem, 700) for path in overlays], 2, width=520)
        for path in sorted(folder.glob("*_areas.csv"))[:SHOWN]:
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))
            section += f"<p>{escape(path.stem)}</p>{table(rows[0], rows[1:])}"
        others = [*sorted(folder.glob("*.html")), *sorted(folder.glob("*_polygons.*"))]
        section += "".join(f"<p>{link(project, path)}</p>" for path in others)
    return section


def accuracy_section(project: Project, folders: ProjectFolders) -> str:
    """User's and producer's accuracy of the maps where nothing was learned, and where they are wrong."""
    section = ""
    for dataset in mapped(project):
        folder = folders.accuracy(dataset.name)
        if not (folder / "accuracy.json").is_file():
            continue
        found = json.loads((folder / "accuracy.json").read_text(encoding="utf-8"))
        rows = [(label, *(percent(row[key]) for key in ACCURACIES)) for label, row in found["per_class"].items()]
        section += (
            f"<h3>{escape(dataset.name)}: {percent(found['overall_accuracy'])} % of {found['compared']:,} pixels are "
            f"right</h3>{table(('class', *ACCURACIES.values()), rows)}"
        )
        errors = sorted((folder / "errors").glob("*.tif"))
        section += "<p>Green: right; red: wrong; grey: not compared, such as what was learned from.</p>"
        section += picture_grid([error_picture(path) for path in errors[:SHOWN]], 2, width=520)
        section += "".join(f"<p>{link(project, path)}</p>" for path in (folder / "accuracy.md", *errors))
    return section


def error_picture(path: Path) -> str:
    """A map of errors: where it is right, wrong, and not compared."""
    with open_class_map(path) as errors:
        ids, _ = reduce_class_map(errors, reduction_factor(errors.width, errors.height, ERROR_PICTURE))
        pixels = np.full((*ids.shape, 3), UNCOMPARED, np.uint8)
        for value in errors.id2label:
            pixels[ids == value] = errors.color_of(value)
    return picture(Image.fromarray(pixels), path.stem, ERROR_PICTURE)


def prepare_section(project: Project, folders: ProjectFolders) -> str:
    """How many tiles were cut for each part, and links to the reports on them."""
    rows, links = [], ""
    for dataset in project.datasets:
        report = Path(dataset.folder) / "report.html"
        if dataset.is_cut and report.is_file():
            counts = {split: len(samples) for split, samples in load(dataset).items()}
            rows.append((dataset.name, *(f"{counts.get(split, 0):,}" for split in ("train", "val", "test"))))
            links += f"<p>{link(project, report)}</p>"
    return table(("tiles", "train", "val", "test"), rows) + links


SECTIONS: dict[str, Callable[[Project, ProjectFolders], str]] = {
    "prepare": prepare_section,
    **{part: training_section(part) for part in ("first", "pretrain", "finetune")},
    "curate": curation_section,
    "evaluate": evaluation_section,
    "maps": maps_section,
    "accuracy": accuracy_section,
}


def link(project: Project, path: Path) -> str:
    """A link to a file of the project."""
    place = Path(os.path.relpath(path, project.output)).as_posix()
    return f'<a href="{escape(place)}">{escape(place)}</a>'


def curve(folder: Path, name: str) -> Points:
    """(step, value) of a run's log; values that were not finite are left out."""
    return [(entry["step"], entry[name]) for entry in read_log(folder) if entry.get(name) is not None]


def percent(value: float | None) -> str:
    """A score, which is in percent; a dash where it is not defined."""
    return "-" if value is None or value != value else f"{value:.1f}"
