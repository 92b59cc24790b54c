"""Questions about made-up scenes, and the masks that answer them exactly."""

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..files.atomic import atomic_file
from .canvas import BUILDING, FIELD, ROAD, TREE, WATER, window_around
from .files import png, write_file
from .scene import SyntheticScene, checked_shape, scene_seeds, synthetic_scene

__all__ = ["SceneQuestion", "scene_questions", "write_synthetic_questions"]

LEAST_SHARE = 0.01
"""Of the pixels of a scene; what is smaller is not asked for."""
RED = 1.35
"""A roof is red where its red is so many times its green, on average."""

THINGS = {
    WATER: (
        ("water", "river or lake"),
        ("where could a boat float?", "where do the fish live?"),
    ),
    ROAD: (("roads",), ("where may cars drive?", "what would a driver follow?", "everything that is paved")),
    BUILDING: (("roofs", "houses"), ("where do people live?", "what keeps the rain out?")),
    TREE: (("trees",), ("where could birds nest?", "what gives shade?", "where would a squirrel climb?")),
    FIELD: (("fields", "open ground"), ("where would a helicopter land?", "where could a cow graze?")),
}
"""What is asked for by class: its names, and questions about its use."""

FORMS = ("the {}", "find the {}", "show me the {}")
"""Questions for a class by its name."""

SIDES = {
    "in the north of the picture": (0, True),
    "in the south of the picture": (0, False),
    "in the west of the picture": (1, True),
    "in the east of the picture": (1, False),
}
"""Halves of a scene: along which axis, and whether the first one."""


@dataclass(frozen=True)
class SceneQuestion:
    """A question and its answer.

    Attributes:
        question: in words.
        answer: in words.
        mask: bool `(height, width)`, exact.
    """

    question: str
    answer: str
    mask: np.ndarray


def scene_questions(scene: SyntheticScene) -> list[SceneQuestion]:
    """All questions about a scene whose answers are large enough to be seen, always in the same order.

    They ask for a class by its name or its use, for a class in half of the picture, and for roofs by their colour and
    by where they are seen from the water: north is up.
    """
    found = [*class_questions(scene), *side_questions(scene), *roof_questions(scene)]
    return [one for one in found if one.mask.mean() >= LEAST_SHARE]


def class_questions(scene: SyntheticScene) -> Iterator[SceneQuestion]:
    """For whole classes."""
    for class_id, (names, uses) in THINGS.items():
        for question in [*(form.format(name) for name in names for form in FORMS), *uses]:
            yield SceneQuestion(question, f"The mask shows the {names[0]}.", scene.mask == class_id)


def side_questions(scene: SyntheticScene) -> Iterator[SceneQuestion]:
    """For classes in half of the picture."""
    for class_id, ((name, *_), _) in THINGS.items():
        for words, (axis, is_first) in SIDES.items():
            half = scene.mask.shape[axis] // 2
            place = np.arange(scene.mask.shape[axis]) < half
            place = (place if is_first else ~place)[:, None] if axis == 0 else (place if is_first else ~place)[None]
            yield SceneQuestion(
                f"the {name} {words}", f"The mask shows the {name} there.", (scene.mask == class_id) & place
            )


def roof_questions(scene: SyntheticScene) -> Iterator[SceneQuestion]:
    """For roofs by their colour, and by where they lie."""
    roofs = list(roof_masks(scene))
    red = [is_red(scene.image[mask]) for mask in roofs]
    yield SceneQuestion("the red roofs", "They are the red roofs.", joined(scene, roofs, red))
    if not (scene.mask == WATER).any():
        return
    middle = np.nonzero(scene.mask == WATER)[0].mean()
    north = [np.nonzero(mask)[0].mean() < middle for mask in roofs]
    for words, chosen in (("north", north), ("south", [not one for one in north])):
        answer = f"They are the roofs {words} of it."
        yield SceneQuestion(f"the roofs {words} of the water", answer, joined(scene, roofs, chosen))
        both = [one and other for one, other in zip(chosen, red, strict=True)]
        yield SceneQuestion(f"the red roofs {words} of the river", answer, joined(scene, roofs, both))


def roof_masks(scene: SyntheticScene) -> Iterator[np.ndarray]:
    """The pixels of every roof, bool `(height, width)`."""
    for cx, cy, width, height, theta in scene.boxes[scene.box_labels == 0]:
        reach = float(np.hypot(width, height)) / 2
        window = window_around(scene.mask.shape, cx - reach, cy - reach, cx + reach, cy + reach)
        mask = np.zeros(scene.mask.shape, dtype=bool)
        if window is not None:
            along = (window.x - cx) * np.cos(theta) + (window.y - cy) * np.sin(theta)
            across = (window.y - cy) * np.cos(theta) - (window.x - cx) * np.sin(theta)
            mask[window.index] = (np.abs(along) <= width / 2) & (np.abs(across) <= height / 2)
        mask &= scene.mask == BUILDING
        if mask.any():
            yield mask


def is_red(pixels: np.ndarray) -> bool:
    """Whether pixels `(n, 3)` are red on average."""
    red, green, _ = pixels.mean(axis=0)
    return bool(red > RED * green)


def joined(scene: SyntheticScene, masks: list[np.ndarray], chosen: list[bool]) -> np.ndarray:
    """The union of some masks."""
    total = np.zeros(scene.mask.shape, dtype=bool)
    for mask, is_chosen in zip(masks, chosen, strict=True):
        if is_chosen:
            total |= mask
    return total


def write_synthetic_questions(
    folder: str | os.PathLike[str],
    count: int,
    size: int | tuple[int, int] = 256,
    seed: int = 0,
    per_scene: int = 8,
    split: str = "train",
    wanted: Callable[[str], bool] | None = None,
) -> Path:
    """Write scenes with questions as `s5-image-question-mask` reads them: pictures, masks and `SPLIT.csv`.

    Args:
        folder: made if missing; other splits in it stay.
        count: scenes.
        size, seed: as `synthetic_dataset`.
        per_scene: questions about each, chosen at random, the same for the same seed.
        split: train, val or test.
        wanted: says which questions may be asked, all by default; so that some are left for a test.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the split is there already.
        TypeError, ValueError: as `synthetic_dataset`.
    """
    folder, seeds = Path(folder), scene_seeds(count, seed)
    checked_shape(size)
    table = folder / f"{split}.csv"
    if table.exists():
        raise FileExistsError(f"{table} exists already; remove it or choose another folder")
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "mask", "question", "answer"])
    for index, scene_seed in enumerate(tqdm(seeds, desc="Questions", unit="scene")):
        scene = synthetic_scene(size, scene_seed)
        questions = [one for one in scene_questions(scene) if wanted is None or wanted(one.question)]
        chosen = np.random.default_rng(scene_seed).permutation(len(questions))[:per_scene]
        image = f"images/{split}_{index:06d}.png"
        write_file(folder / image, png(scene.image))
        for number, choice in enumerate(sorted(chosen.tolist())):
            mask = f"masks/{split}_{index:06d}_{number}.png"
            write_file(folder / mask, png(np.uint8(255) * questions[choice].mask))
            writer.writerow([image, mask, questions[choice].question, questions[choice].answer])
    with atomic_file(table) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="\n")
    return folder
