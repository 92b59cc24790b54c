"""DOTA's Task 1 result files: one text file per class, one detection per line.

`Task1_plane.txt` holds lines of an image's name, the score and four corners in pixels of the whole image:

    P0006 0.9876 1020.1 53.2 1042.7 60.3 1035.9 81.9 1013.3 74.8
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from s5_hf.files.atomic import write_text
from s5_hf.modeling.oriented_boxes import check_oriented_boxes, minimum_area_rectangles, oriented_boxes_to_corners

__all__ = ["parse_detection", "read_task1_results", "write_task1_results"]

Detections = Mapping[str, Tensor]


def write_task1_results(
    folder: str | Path, detections: Mapping[str, Detections], labels: Sequence[str], decimals: int = 4
) -> list[Path]:
    """Write a result file per class; classes without a detection get an empty one, which DOTA's server asks for.

    Args:
        folder: where the files go; made if it is not there. Each file appears whole or not at all.
        detections: per image name (the file name without its suffix), boxes [N, 5], scores [N] and labels [N], ids.
        labels: class names in the order of their ids.
        decimals: digits of the corners after the point.

    Returns:
        The files, in the order of the labels.

    Raises:
        ValueError: a name of an image or a class that the format cannot hold, a class id without a name, parts of
            different lengths, or an invalid box. Names the image and the index. Nothing is written then.
    """
    for label in labels:
        if not label or any(character.isspace() or character in "/\\" for character in label):
            raise ValueError(f"class name {label!r}: a name without spaces and slashes is needed, it names the file")
    lines: list[list[str]] = [[] for _ in labels]
    for image_id, found in detections.items():
        _add_lines(lines, image_id, found, labels, decimals)
    paths = [Path(folder) / f"Task1_{label}.txt" for label in labels]
    for path, content in zip(paths, lines, strict=True):
        write_text(path, "".join(content))
    return paths


def _add_lines(lines: list[list[str]], image_id: str, found: Detections, labels: Sequence[str], decimals: int) -> None:
    if not image_id or any(character.isspace() for character in image_id):
        raise ValueError(f"image name {image_id!r}: a name without spaces is needed, as spaces separate the columns")
    boxes = torch.as_tensor(found["boxes"]).detach().cpu().double().reshape(-1, 5)
    scores, ids = (torch.as_tensor(found[part]).tolist() for part in ("scores", "labels"))
    if not len(boxes) == len(scores) == len(ids):
        raise ValueError(f"{image_id}: {len(boxes)} boxes, {len(scores)} scores and {len(ids)} labels")
    check_oriented_boxes(boxes, f"{image_id}: boxes")
    for index, (corners, score, label) in enumerate(
        zip(oriented_boxes_to_corners(boxes).flatten(1).tolist(), scores, ids, strict=True)
    ):
        if not 0 <= label < len(labels):
            raise ValueError(f"{image_id}: labels[{index}] is {label}, but there are {len(labels)} classes")
        if not math.isfinite(score):
            raise ValueError(f"{image_id}: scores[{index}] is {score}")
        numbers = " ".join(f"{value:.{decimals}f}" for value in corners)
        lines[label].append(f"{image_id} {score:.9g} {numbers}\n")


def read_task1_results(folder: str | Path, labels: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """Read the result files of all classes.

    Args:
        folder: holds `Task1_<class>.txt` for every class.
        labels: class names; their order gives the ids.

    Returns:
        Per image name, boxes float64 [N, 5] (the smallest rectangles around the corners), scores float64 [N] and
        labels int64 [N], best first. Images without a detection do not occur in the files.

    Raises:
        FileNotFoundError: the file of a class is missing.
        ValueError: a line that is not a detection, or a file that is not UTF-8 text (names the file and the line).
    """
    rows: dict[str, list[tuple[float, int, list[float]]]] = defaultdict(list)
    for label, name in enumerate(labels):
        path = Path(folder) / f"Task1_{name}.txt"
        if not path.is_file():
            raise FileNotFoundError(f"no results of the class {name!r}: {path} does not exist")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error.reason}") from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                image_id, score, corners = parse_detection(line, f"{path}, line {number}")
                rows[image_id].append((score, label, corners))
    return {image_id: _collect(found) for image_id, found in rows.items()}


def parse_detection(line: str, place: str) -> tuple[str, float, list[float]]:
    """Image name, score and eight coordinates of a line; a ValueError names the place if it is none."""
    image_id, *numbers = line.split()
    if len(numbers) != 9:
        raise ValueError(
            f"{place}: expected an image name, a score and 8 coordinates (4 corners), "
            f"got {len(numbers)} numbers: {line.strip()!r}"
        )
    try:
        score, *corners = (float(number) for number in numbers)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    if not all(math.isfinite(value) for value in (score, *corners)):
        raise ValueError(f"{place}: every number must be finite: {line.strip()!r}")
    return image_id, score, corners


def _collect(found: list[tuple[float, int, list[float]]]) -> dict[str, Tensor]:
    found = sorted(found, key=lambda row: -row[0])  # stable: equal scores stay in the order of the files
    scores, ids, corners = zip(*found, strict=True)
    return {
        "boxes": minimum_area_rectangles(torch.tensor(corners, dtype=torch.float64).view(-1, 4, 2)),
        "scores": torch.tensor(scores, dtype=torch.float64),
        "labels": torch.tensor(ids),
    }
