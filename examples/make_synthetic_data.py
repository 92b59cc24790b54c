"""Make the data of a whole S5 chain in miniature: two labelled datasets, an unlabelled archive, a scene.

    python examples/make_synthetic_data.py my-data

    my-data/city     six classes, 0.5 m per pixel; train and val, each with images/ and masks/
    my-data/roads    other classes (ground, road) and another resolution (0.75 m per pixel); train and val
    my-data/archive  images without labels, and among them what an archive should not have: noise, blanks, copies of
                     its own images, copies of validation images of city
    my-data/scene.png  a scene larger than any training image
    my-data/shores   with --shores: tiles of land and water that differ in light and colours; train and val

All of it is made up and follows from the seed. Files that are there are written again, with the same content.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from s5_hf.files.atomic import atomic_file
from s5_hf.scripts import run_script
from s5_hf.synthetic import SCENE_LABELS, SyntheticScene, synthetic_dataset, synthetic_scene, synthetic_shores

ROADS_LABELS = ("ground", "road")
# What stands on a road counts as road.
CITY_TO_ROADS = np.array([label in ("road", "car") for label in SCENE_LABELS], dtype=np.uint8)
SHORE_SIDE = 100
COARSER = 1.5  # the ground that a pixel of roads shows, over that of city


def save(array: np.ndarray, path: Path) -> None:
    """Write a PNG so that a half-written one never carries its name."""
    with atomic_file(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def write_labelled(folder: Path, scenes: Iterator[tuple[np.ndarray, np.ndarray]], count: int) -> None:
    """Write images and masks."""
    for index, (image, mask) in enumerate(tqdm(scenes, str(folder), total=count, unit="scene")):
        save(image, folder / "images" / f"{index:04d}.png")
        save(mask, folder / "masks" / f"{index:04d}.png")


def as_city(scene: SyntheticScene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene as it is."""
    return scene.image, scene.mask


def as_roads(scene: SyntheticScene, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene with fewer pixels and two classes."""
    image = Image.fromarray(scene.image).resize((size, size), Image.Resampling.BOX)
    mask = Image.fromarray(CITY_TO_ROADS[scene.mask]).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(image), np.asarray(mask)


def write_archive(folder: Path, foreign: list[Path], count: int, size: int, seed: int) -> None:
    """Write unlabelled images, and plant one bad image for every eight good ones, of each kind in turn.

    Args:
        folder: of the images.
        foreign: validation images, to be copied into the archive.
        count: number of good images.
        size: their side in pixels.
        seed: of the scenes and the noise.
    """
    generator = np.random.default_rng(seed)
    for index, scene in enumerate(tqdm(synthetic_dataset(count, size, seed), str(folder), total=count, unit="scene")):
        save(scene.image, folder / f"{index:04d}.png")
        if index % 8 == 0:
            # Copies are a little brighter, as of another provider: not the same bytes.
            brighter = np.clip(scene.image * 1.06 + 4, 0, 255).astype(np.uint8)
            save(brighter, folder / f"copy_of_{index:04d}.png")
        if index % 8 == 2:
            save(generator.integers(0, 256, (size, size, 3), dtype=np.uint8), folder / f"noise_{index:04d}.png")
        if index % 8 == 4:
            save(np.full((size, size, 3), generator.integers(0, 256, 3), np.uint8), folder / f"blank_{index:04d}.png")
        if index % 16 == 6 and foreign:
            path = foreign[index // 16 % len(foreign)]
            save(np.asarray(Image.open(path)), folder / f"validation_{path.stem}.png")


def write_shores(folder: Path, count: int, side: int, seed: int) -> None:
    """Write tiles of land and water, and a third as many for validation."""
    tiles = ((tile.image, tile.mask) for tile in synthetic_shores(count + count // 3, side, seed))
    for split, number in (("train", count), ("val", count // 3)):
        write_labelled(folder / split, itertools.islice(tiles, number), number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=192, help="side of the images in pixels, from 64")
    parser.add_argument("--labelled", type=int, default=16, help="training images of each dataset")
    parser.add_argument("--validation", type=int, default=8, help="validation images of each dataset")
    parser.add_argument("--archive", type=int, default=48, help="good images of the archive")
    parser.add_argument("--scene", type=int, default=640, help="side of the scene in pixels")
    parser.add_argument("--shores", type=int, default=0, help="training tiles of land and water, 100 px or --size")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    size, output, seed = arguments.size, arguments.output, 1000 * arguments.seed
    parts = {"train": arguments.labelled, "val": arguments.validation}
    for place, (split, count) in enumerate(parts.items()):
        for name, convert, side, first in (
            ("city", as_city, size, seed),
            ("roads", as_roads, round(size * COARSER), seed + 500),
        ):
            scenes = (convert(scene, size) for scene in synthetic_dataset(count, side, first + place))
            write_labelled(output / name / split, scenes, count)
    validation = sorted((output / "city" / "val" / "images").iterdir())
    write_archive(output / "archive", validation, arguments.archive, size, seed + 100)
    save(synthetic_scene(arguments.scene, seed + 200).image, output / "scene.png")
    if arguments.shores:
        write_shores(output / "shores", arguments.shores, min(SHORE_SIDE, size), seed + 800)


if __name__ == "__main__":
    run_script(main)
