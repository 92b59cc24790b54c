"""Questions about real images, made of their masks of classes by rule, for `s5-hf train reasoning`.

    python benchmarks/map_questions.py ../shared/data work/map-questions
    s5-hf train reasoning reasoning_tiny_cpu --data-dir work/map-questions --questions-per-image 4

Reads `citymaps` (600 px: each image becomes four of 300 px) and `flood`, each with {train,val}/{images,masks}. Asked
for are classes by their names and uses, and classes in a half or, for roofs, a quarter of the picture; north is up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import argument_parser
from s5_hf.files.atomic import atomic_folder

LEAST_SHARE, MOST_SHARE = 0.01, 0.95
"""Of the pixels: other answers are not asked for."""
PER_IMAGE = 8
CITY = {
    1: ("roofs", ("the roofs", "the buildings", "where do people live?", "what keeps the rain out?")),
    2: ("roads", ("the roads", "where may cars drive?", "everything that is paved")),
    3: ("parks", ("the parks", "where could children play on grass?")),
    4: ("water", ("the water", "where is the water?", "where could a boat float?")),
}
FLOOD = {1: ("water", ("the water", "where is the water?", "where could a boat float?", "what is flooded?"))}
"""By value of a mask: a name, and questions."""
HALVES = {"north": (0, 0), "south": (0, 1), "west": (1, 0), "east": (1, 1)}
QUARTERS = {f"{one}-{other}": (HALVES[one], HALVES[other]) for one in ("north", "south") for other in ("west", "east")}


def questions_about(mask: np.ndarray, classes: dict[int, tuple[str, tuple[str, ...]]]) -> dict[str, np.ndarray]:
    """Questions with their answers, bool `(height, width)`."""
    found = {}
    for value, (name, questions) in classes.items():
        whole = mask == value
        found |= dict.fromkeys(questions, whole)
        found |= {f"the {name} in the {words}": whole & part(mask.shape, side) for words, side in HALVES.items()}
        if name == "roofs":
            for words, (one, other) in QUARTERS.items():
                found[f"the {name} in the {words}"] = whole & part(mask.shape, one) & part(mask.shape, other)
    return {words: answer for words, answer in found.items() if LEAST_SHARE <= answer.mean() <= MOST_SHARE}


def part(shape: tuple[int, int], side: tuple[int, int]) -> np.ndarray:
    """Half of a picture, bool: along which axis, and which one."""
    axis, second = side
    places = (np.arange(shape[axis]) >= shape[axis] // 2) == bool(second)
    return np.broadcast_to(np.expand_dims(places, 1 - axis), shape)


def pictures(source: Path, split: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, dict]]:
    """Name, image, mask and what is asked for, of all pictures of a split."""
    for folder, classes, cuts in (("citymaps", CITY, 2), ("flood", FLOOD, 1)):
        for path in sorted((source / folder / split / "images").iterdir()):
            image = np.asarray(Image.open(path).convert("RGB"))
            mask = np.asarray(Image.open(source / folder / split / "masks" / f"{path.stem}.png"))
            height, width = (side // cuts for side in mask.shape)
            for row in range(cuts):
                for column in range(cuts):
                    cut = (slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width))
                    yield f"{folder}_{path.stem}_{row}{column}", image[cut], mask[cut], classes


def write(source: Path, target: Path) -> None:
    """Write both splits as `s5-image-question-mask` reads them."""
    with atomic_folder(target) as folder:
        for split in ("train", "val"):
            rows = []
            for name, image, mask, classes in pictures(source, split):
                answers = questions_about(mask, classes)
                chosen = np.random.default_rng(list(name.encode())).permutation(sorted(answers))[:PER_IMAGE]
                for kind in ("images", "masks"):
                    (folder / kind / split).mkdir(parents=True, exist_ok=True)
                if len(chosen):
                    Image.fromarray(image).save(folder / f"images/{split}/{name}.jpg", quality=92)
                for number, words in enumerate(chosen.tolist()):
                    place = f"masks/{split}/{name}_{number}.png"
                    Image.fromarray(np.uint8(255) * answers[words]).save(folder / place)
                    rows.append([f"images/{split}/{name}.jpg", place, words, ""])
            with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["image", "mask", "question", "answer"], *rows])
            print(f"{split}: {len({row[0] for row in rows})} images, {len(rows)} questions")


def main() -> None:
    """Write the questions."""
    parser = argument_parser(__doc__)
    parser.add_argument("source", type=Path, help="folder with citymaps and flood")
    parser.add_argument("target", type=Path, help="new folder")
    arguments = parser.parse_args()
    write(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
