"""Box labels of one format to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...files.atomic import atomic_folder
from .formats import READERS, WRITERS
from .labelled_images import BoxNotes, LabelledImage
from .source import LabelSource
from .target import LabelTarget

__all__ = ["ConvertedBoxes", "convert_boxes"]


@dataclass(frozen=True)
class ConvertedBoxes:
    """What `convert_boxes` did.

    Attributes:
        images: number of images.
        boxes: number of boxes of each class, in the order of the ids.
        notes: what was changed, left out or lost, a sentence each.
    """

    images: int
    boxes: dict[str, int]
    notes: list[str]


def convert_boxes(
    source: str | Path,
    output: str | Path,
    source_format: str,
    target_format: str,
    images: str | Path | None = None,
    classes: Sequence[str] = (),
) -> ConvertedBoxes:
    """Convert labels of oriented boxes between DOTA, YOLO-OBB, COCO and LabelMe.

    Every polygon becomes the smallest rectangle around it, with one rule for its angle (`LabelledImage`), and every
    rectangle is written with its corners clockwise on the screen. So all formats hold the same boxes: converted there
    and back, they agree to the digits that the files have.

    Args:
        source: the folder of the label files; COCO: the file.
        output: the folder to make.
        source_format, target_format: of `READERS` and `WRITERS`: `"dota"`, `"yolo-obb"`, `"coco"`, `"labelme"`.
        images: folder of the images. YOLO and DOTA do not say how large an image is; the others need it.
        classes: class names in the order of their ids; by default those of YOLO's `data.yaml` or of COCO's
            categories, or the names that occur, sorted.

    Raises:
        FileExistsError: `output` exists already and is not empty.
        FileNotFoundError: labels or images are missing.
        ValueError: an unknown format, broken labels, a class that is not among `classes`, two images of one name, or
            sizes of images are needed and not known.
    """
    for name, known in ((source_format, READERS), (target_format, WRITERS)):
        if name not in known:
            raise ValueError(f"unknown format {name!r}; known: {', '.join(known)}")
    notes = BoxNotes()
    labels = LabelSource(Path(source), None if images is None else Path(images), tuple(classes), notes)
    found = READERS[source_format](labels)
    _require_different_names(found)
    counts = Counter(category for image in found for category in image.categories)
    names = tuple(classes) or tuple(labels.known) or tuple(sorted(counts))
    if unknown := sorted(set(counts) - set(names)):
        raise ValueError(f"{source} has the class {unknown[0]!r}, which is not among the given: {', '.join(names)}")
    with atomic_folder(output) as folder:
        WRITERS[target_format](LabelTarget(folder, found, names, notes))
    return ConvertedBoxes(len(found), {name: counts[name] for name in names}, notes.sentences())


def _require_different_names(images: Sequence[LabelledImage]) -> None:
    repeated = [name for name, count in Counter(image.name for image in images).items() if count > 1]
    if repeated:
        raise ValueError(f"two images have the name {repeated[0]!r}: their labels would have one file")
