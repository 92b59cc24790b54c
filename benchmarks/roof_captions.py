"""Pairs of two dates of real images with roofs that came or went, and sentences by rule that say so.

    python benchmarks/roof_captions.py ../shared/data/citymaps work/roof-captions
    s5-hf train captioning captioning_tiny_cpu --data-dir work/roof-captions --image-size 128 --backbone videomae ...

Reads {train,val}/{images,masks}. Roofs are cut from other images of the split and pasted into one quarter of a picture
of 256 px, in the first date or in the second; light, season and a small shift differ between the dates (`roof_pairs`).
In a fifth of the pairs nothing but these differ. Five sentences for each pair, as `s5-levir-cc` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from roof_pairs import SIDE, cut_roofs, photographed, place_roof, read_pair

from measuring import argument_parser
from s5_hf.files.atomic import atomic_folder, write_text
from s5_hf.synthetic.changes import NO_CHANGE, PLACES, UNCHANGED_SHARE

PAIRS = {"train": 1800, "val": 200}
BUILDING = 1
LEAST_ROOF = 350
"""Pixels of a roof, at least; smaller ones are lost in the pictures of the small network."""
MOST_ROOFS = 3
CAME = (
    "{thing} appeared in the {place} .",
    "someone built {thing} in the {place} .",
    "the second image shows {thing} in the {place} that the first does not show .",
    "in the {place} someone put up {thing} .",
    "the {place} now has {thing} that it did not have .",
)
WENT = (
    "{thing} disappeared from the {place} .",
    "someone removed {thing} from the {place} .",
    "the first image shows {thing} in the {place} that the second does not show .",
    "in the {place} someone tore down {thing} .",
    "the {place} once had {thing} that it does not have now .",
)

Picture = tuple[np.ndarray, np.ndarray]


def make_pair(pictures: Sequence[Picture], generator: np.random.Generator) -> tuple[np.ndarray, ...] | None:
    """Both dates, the mask of what changed, and the sentences; None where no roof found room."""
    image, mask = pictures[int(generator.integers(len(pictures)))]
    top, left = (int(generator.integers(0, side - SIDE + 1)) for side in mask.shape)
    place = (slice(top, top + SIDE), slice(left, left + SIDE))
    base, taken = image[place].astype(np.float32), mask[place] == BUILDING
    other, changed, sentences = base.copy(), np.zeros((SIDE, SIDE), dtype=bool), NO_CHANGE
    came = generator.random() < 0.5
    if generator.random() >= UNCHANGED_SHARE:
        name = str(generator.choice(list(PLACES)))
        outside = ~quarter(name)
        wanted, pasted = int(generator.integers(1, MOST_ROOFS + 1)), 0
        for _ in range(4 * MOST_ROOFS):
            found = place_roof(roof_of(pictures, generator), taken | outside, generator)
            if pasted == wanted or found is None:
                continue
            alpha, pixels, footprint = found
            other += alpha[..., None] * (pixels - other)
            taken, changed, pasted = taken | footprint, changed | footprint, pasted + 1
        if not pasted:
            return None
        thing = "a building" if pasted == 1 else "several buildings"
        sentences = tuple(one.format(thing=thing, place=name) for one in (CAME if came else WENT))
    before, after = (base, other) if came else (other, base)
    return photographed(before, generator, False), photographed(after, generator, True), changed, sentences


def roof_of(pictures: Sequence[Picture], generator: np.random.Generator) -> Picture:
    """A large roof of some picture."""
    while True:
        roofs = cut_roofs(*pictures[int(generator.integers(len(pictures)))], BUILDING)
        large = [roof for roof in roofs if roof[1].sum() >= LEAST_ROOF]
        if large:
            return large[int(generator.integers(len(large)))]


def quarter(name: str) -> np.ndarray:
    """A quarter of a picture, bool, without a margin in its middle that could be meant by two names."""
    row, column = PLACES[name]
    middle, margin = SIDE // 2, SIDE // 16
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    ranges = [slice(0, middle - margin) if not side else slice(middle + margin, SIDE) for side in (row, column)]
    inside[tuple(ranges)] = True
    return inside


def write(source: Path, target: Path) -> None:
    """Write both splits."""
    entries = []
    with atomic_folder(target) as folder:
        for split, count in PAIRS.items():
            names = sorted(path.name for path in (source / split / "images").iterdir())
            pictures = [read_pair(source / split, name) for name in names]
            generator = np.random.default_rng([split == "val", count])
            for part in ("A", "B", "label"):
                (folder / "images" / split / part).mkdir(parents=True)
            number = 0
            while number < count:
                made = make_pair(pictures, generator)
                if made is None:
                    continue
                before, after, changed, sentences = made
                name = f"{split}_{number:06d}.png"
                for part, pixels in (("A", before), ("B", after), ("label", np.uint8(255) * changed)):
                    Image.fromarray(pixels).save(folder / "images" / split / part / name)
                spoken = [{"raw": one} for one in sentences]
                entries.append({"filename": name, "split": split, "sentences": spoken})
                number += 1
        write_text(folder / "LevirCCcaptions.json", json.dumps({"images": entries}) + "\n")


def main() -> None:
    """Write the pairs."""
    parser = argument_parser(__doc__)
    parser.add_argument("source", type=Path, help="folder with {train,val}/{images,masks}")
    parser.add_argument("target", type=Path, help="new folder")
    arguments = parser.parse_args()
    write(arguments.source, arguments.target)


if __name__ == "__main__":
    main()
