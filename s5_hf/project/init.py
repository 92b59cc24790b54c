"""Writing a project file from a look into folders: every choice stands in it, with a comment."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..files.atomic import write_text
from .look import Found, FoundDataset, look_into
from .look_at_bands import with_common_bands

__all__ = ["write_project_file"]

SMALLEST_CROP, LARGEST_CROP, PATCH = 64, 128, 16

HEAD = """\
# A project: one file from labelled images to an evaluated map. Run it with: s5-hf run {name}
# Paths are relative to this file. A step that is `false` is left out. Every key of a recipe can stand in the section
# of its training; `s5-hf train s4p --help` and `s5-hf train segmentation --help` list them.
# The settings below train tiny networks in minutes on a CPU, to see that all fits together. For a good model:
# recipe: s4p_vit_b under pretrain, moe_mdf_vit_b under finetune, and GPUs.

output: work  # everything that is made
seed: 0
"""


def write_project_file(places: Sequence[str | Path], path: str | Path, overwrite: bool = False) -> list[str]:
    """Write a project file for what lies in folders.

    Args:
        places: folders, or image files that are to be mapped.
        path: of the file.
        overwrite: whether a file that is there is replaced.

    Returns:
        What was found and what is to be looked at, a line each.

    Raises:
        FileExistsError: if the file is there.
        FileNotFoundError: if there is no such folder, or no images with masks in any of them.
        ValueError: for masks that are no class ids.
        CorruptImageError: for an image that cannot be read.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already; --overwrite replaces it, --output takes another name")
    found = look_into([Path(place) for place in places])
    if not found.datasets and not found.labelled:
        listed = ", ".join(map(str, places))
        raise FileNotFoundError(
            f"there are no images with masks in {listed}, and no scenes with polygons: a project learns from some"
        )
    left, bands, left_out = with_common_bands(found)
    write_text(path, project_text(left, path, bands))
    return [*said(left), *left_out, f"written: {path}; look through it, then: s5-hf run {path}"]


def said(found: Found) -> list[str]:
    """What was found, a line each."""
    lines = []
    for dataset in found.datasets:
        counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
        lines.append(f"images with masks: {dataset.folder} ({counts}), {len(dataset.classes)} classes")
        if not dataset.named:
            lines.append(f"  the folder does not name them; name them in the file: {', '.join(dataset.classes)}")
    for scenes in found.labelled:
        field = f"field {scenes.attribute}" if scenes.attribute else "no field that looks like classes"
        lines.append(
            f"scenes with polygons: {scenes.count} under {scenes.labels} ({field}), {len(scenes.classes)} classes"
        )
    lines += [f"images without masks: {folder} ({count:,})" for folder, count in found.archive.items()]
    return [*lines, *(f"scene: {scene}" for scene in found.scenes)]


def project_text(found: Found, path: Path, bands: Sequence[str] | None) -> str:
    """The text of the file; `bands` are names, where they need to be said."""
    base = path.resolve().parent
    crop = crop_size(found.datasets)
    count = len(found.datasets) + len(found.labelled)
    parts = [HEAD.format(name=path.name), datasets_text(found, base)]
    if found.archive:
        parts.append(list_text("archive", found.archive, base, "images without labels, to choose from"))
    if found.scenes:
        parts.append(list_text("scenes", found.scenes, base, "files, folders or patterns of what is to be mapped"))
    if bands is not None:
        parts.append(f"bands: {flow(bands)}  # read from every image by name, so that colours are treated as such\n")
    honest = all({"val", "test"} & set(dataset.counts) for dataset in found.datasets)
    parts += [learning_text(found, crop, count), applying_text(found, honest)]
    return "\n".join(parts)


def datasets_text(found: Found, base: Path) -> str:
    """The datasets, with their classes."""
    lines = ["datasets:  # each is a task of the model; curation and pre-training learn from the first"]
    folders = [
        *(named_after(scenes.labels) for scenes in found.labelled),
        *(data.folder for data in found.datasets),
    ]
    names = names_of(folders)
    for name, scenes in zip(names, found.labelled, strict=False):
        unlabelled = "ignore  # or the class of what lies in no polygon"
        if scenes.attribute is None:
            unlabelled = f"{scenes.classes[0]}  # the class of what lies in no polygon"
        lines += [
            f"  - name: {name}",
            f"    scenes: {flow([relative(place, base) for place in scenes.scenes])}  # {scenes.count}",
            f"    labels: {relative(scenes.labels, base)}",
            *([f"    attribute: {scenes.attribute}"] if scenes.attribute else []),
            f"    classes: {flow(scenes.classes)}  # values of the field; road: [street, path] joins some",
            f"    unlabelled: {unlabelled}",
            "    tile_size: 256",
        ]
    for name, dataset in zip(names[len(found.labelled) :], found.datasets, strict=True):
        counts = ", ".join(f"{count:,} {split}" for split, count in dataset.counts.items())
        told = "in the order of the values in the masks" if dataset.named else "NAME THEM, in the order of the values"
        lines += [
            f"  - name: {name}",
            f"    folder: {relative(dataset.folder, base)}  # {counts}",
            f"    classes: {flow(dataset.classes)}  # {told}",
        ]
    return "\n".join(lines) + "\n"


def named_after(labels: Path) -> Path:
    """What a dataset of polygons is called after: their file, or its folder where the file is called labels."""
    return (
        labels.resolve().parent if labels.stem.lower() in ("labels", "polygons", "classes") else labels.with_suffix("")
    )


def flow(values: Sequence[str]) -> str:
    """A list in one line of YAML."""
    return yaml.safe_dump(list(values), default_flow_style=True, width=10_000, allow_unicode=True).strip()


def names_of(folders: Sequence[Path]) -> list[str]:
    """A name for every dataset, from its folder or file; none twice."""
    names: list[str] = []
    for folder in folders:
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_") or "dataset"
        name = name if name[0].isalpha() else f"d_{name}"
        number = 1 + sum(other == name or other.startswith(f"{name}_") for other in names)
        names.append(name if number == 1 else f"{name}_{number}")
    return names


def list_text(key: str, places: Sequence[Path] | dict[Path, int], base: Path, comment: str) -> str:
    """A list of paths."""
    return "\n".join([f"{key}:  # {comment}", *(f"  - {relative(place, base)}" for place in places)]) + "\n"


def learning_text(found: Found, crop: int, datasets: int) -> str:
    """The sections of the trainings and the curation."""
    lines = [
        "first:  # a small segmenter, from the labelled images alone",
        f"  crop_size: {crop}",
        "  total_steps: 600",
    ]
    if found.archive:
        target = max(1, round(0.5 * sum(found.archive.values())))
        lines += ["curate:  # choose from the archive what its pseudo-labels are reliable for", f"  target: {target}"]
    else:
        lines += ["curate: false  # there is no archive to choose from"]
    if found.archive:
        lines += ["pretrain:  # semi-supervised (S4P), from the first segmenter"]
    else:
        first = found.datasets[0].counts if found.datasets and not found.labelled else {}
        count = max(2, first.get("train", 16) // 2)
        lines += [
            "pretrain:  # semi-supervised (S4P); without an archive, half of the images count as unlabelled",
            "  unlabelled_dataset: rest",
            f"  labelled_count: {count}",
        ]
    lines += [f"  crop_size: {crop}", "  total_steps: 240"]
    lines += [
        f"finetune:  # one model for {'every dataset' if datasets > 1 else 'the dataset'}",
        f"  mode: {'moe' if datasets > 1 else 'sdf'}  # sdf: one dataset; mdf: shared; moe: with experts",
        f"  crop_size: {crop}",
        "  total_steps: 300",
    ]
    return "\n".join(lines) + "\n"


def applying_text(found: Found, honest: bool) -> str:
    """The sections of evaluation and maps."""
    lines = ["evaluate: true  # on test where there is one, else on val"]
    if not honest:
        lines = ["evaluate: false  # a dataset has neither test nor val images to be scored on"]
    if found.scenes:
        polygons = ".gpkg" if found.labelled else "null"
        lines += ["maps:", "  window: 512", f"  polygons: {polygons}  # .gpkg, .geojson or null"]
    else:
        lines += ["maps: false  # no scenes were found; name some under scenes: [...]"]
    return "\n".join(lines) + "\n"


def crop_size(datasets: Sequence[FoundDataset]) -> int:
    """A crop that fits into the images, a multiple of the patches of the networks."""
    side = min((dataset.side for dataset in datasets if dataset.side), default=LARGEST_CROP)
    return max(SMALLEST_CROP, min(LARGEST_CROP, side // PATCH * PATCH))


def relative(path: Path, base: Path) -> str:
    """A path as the file sees it, quoted as YAML needs it."""
    try:
        seen = Path(os.path.relpath(path.resolve(), base)).as_posix()
    except ValueError:  # another drive
        seen = path.resolve().as_posix()
    return yaml.safe_dump(seen, default_flow_style=True).strip().removesuffix("\n...").strip()
