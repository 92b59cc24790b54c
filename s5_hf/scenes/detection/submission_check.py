"""Whether result files keep the rules of DOTA's evaluation server for Task 1.

The server takes one archive with a file `Task1_<class>.txt` for every class and nothing else, without folders. A line
is an image's name without suffix, a score, and four corners in pixels of the whole image. A file that breaks a rule is
refused there, or scored wrongly without a word.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ...imaging.polygon_clipping import polygon_area
from .dota_results import parse_detection

__all__ = ["SubmissionCheck", "check_submission"]

_HIDDEN = (".", "__MACOSX")


@dataclass(frozen=True)
class SubmissionCheck:
    """What a check found.

    Attributes:
        detections: number of lines of each class.
        images: how many images have a detection.
        problems: broken rules, each with file and line.
    """

    detections: dict[str, int]
    images: int
    problems: list[str]


def check_submission(
    submission: str | Path, labels: Sequence[str], image_names: Collection[str] | None = None
) -> SubmissionCheck:
    """Check result files against the rules of the format.

    Args:
        submission: the folder of the files, or the archive (`.zip`).
        labels: names of all classes.
        image_names: of the test images, without suffix; if given, other names are a problem.

    Raises:
        FileNotFoundError: there is no such folder or archive.
        ValueError: the archive cannot be read.
    """
    files, problems = _read_files(Path(submission))
    expected = {f"Task1_{label}.txt": label for label in labels}
    problems += [
        f"{name} is missing; classes without a detection need an empty file" for name in expected if name not in files
    ]
    problems += [f"{name} is no result file of a class: remove it" for name in files if name not in expected]
    detections, seen = {}, set()
    for name, label in expected.items():
        lines = _lines(files.get(name, b""), name, problems)
        detections[label] = len(lines)
        seen |= {line.split()[0] for _, line in lines}
        problems += _problems_of(lines, name, image_names)
    return SubmissionCheck(detections, len(seen), problems)


def _read_files(submission: Path) -> tuple[dict[str, bytes], list[str]]:
    """The files of a folder or an archive by their names, and what is wrong with where they lie."""
    if submission.is_dir():
        paths = sorted(path for path in submission.iterdir() if not path.name.startswith(_HIDDEN))
        folders = [f"{path.name} is a folder; the files must lie side by side" for path in paths if path.is_dir()]
        return {path.name: path.read_bytes() for path in paths if path.is_file()}, folders
    if not submission.is_file():
        raise FileNotFoundError(f"there is no folder or archive {submission}")
    try:
        with zipfile.ZipFile(submission) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            entries = [entry for entry in entries if not entry.filename.startswith(_HIDDEN)]
            nested = [entry.filename for entry in entries if "/" in entry.filename]
            files = {PurePosixPath(entry.filename).name: archive.read(entry) for entry in entries}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{submission} is not a zip archive that can be read: {error}") from error
    return files, [f"{name} lies in a folder; the server reads the top of the archive only" for name in nested]


def _lines(content: bytes, name: str, problems: list[str]) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        problems.append(f"{name} is not UTF-8 text: {error.reason}")
        return []
    return [(number, line.strip()) for number, line in enumerate(io.StringIO(text), start=1) if line.strip()]


def _problems_of(lines: Iterable[tuple[int, str]], name: str, image_names: Collection[str] | None) -> Iterator[str]:
    """What is wrong with the lines of a file, at most one problem for each line."""
    known = None if image_names is None else frozenset(image_names)
    first: dict[str, int] = {}
    for number, line in lines:
        place = f"{name}, line {number}"
        try:
            image, score, corners = parse_detection(line, place)
        except ValueError as error:
            yield str(error)
            continue
        if known is not None and image not in known:
            yield f"{place}: {image!r} is none of the test images (names have no suffix)"
        elif not 0 <= score <= 1:
            yield f"{place}: the score is {score:g}, expected 0 to 1"
        elif not _is_convex(np.array(corners).reshape(4, 2)):
            yield f"{place}: the corners are no convex polygon in order around it: {' '.join(map(str, corners))}"
        elif line in first:
            yield f"{place}: the same as line {first[line]}"
        first.setdefault(line, number)


def _is_convex(corners: np.ndarray) -> bool:
    """Whether corners `(4, 2)` go around a convex area, either way."""
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    # Corners have few digits, which may bend a long thin box inwards by as much as the last of them.
    allowed = 0.01 * np.linalg.norm(edges, axis=1).max()
    return polygon_area(corners) > 0 and bool((turns >= -allowed).all() or (turns <= allowed).all())
