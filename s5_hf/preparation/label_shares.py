"""Tiles of 512 px with the split lists of DWL's protocol: 1, 5 or 10 percent of the labels."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..dataset_builders.label_shares import Tile, divide_tiles
from ..dataset_builders.registry import DatasetEntry, get_entry
from ..files.atomic import atomic_folder, require_absent

__all__ = ["SHARED_DATASETS", "prepare_label_shares"]

SHARED_DATASETS = ("s5-potsdam", "s5-loveda", "s5-deepglobe-landcover")
"""Datasets that the protocol is published for."""

PUBLISHED_SPLITS = ("s5-loveda",)
TILE_SIZE = 512


def prepare_label_shares(
    dataset: str,
    data_dir: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    by_scene: bool = False,
    tile_size: int = TILE_SIZE,
) -> dict[str, int]:
    """Cut a dataset into tiles and write split lists, so that `load_dataset(dataset, data_dir=out)` reads them.

    Tiles do not overlap; the last of a row or column are filled up with zeros, their masks with the ignored value.
    The lists are `train`, `val`, `test`, and `labelled_1`, `unlabelled_1` and so on for 1, 5 and 10 percent.

    Args:
        dataset: one of `SHARED_DATASETS`.
        data_dir: whole images and masks, as `load_dataset` reads them.
        out: the folder to make; it must not exist.
        seed: decides which tile is where.
        by_scene: keep the tiles of an image in one split, which the publication does not.
        tile_size: side of a tile in pixels.

    Returns:
        The number of tiles in every list.

    Raises:
        KeyError: for an unknown dataset.
        ValueError: for one without this protocol, or too few images.
        FileExistsError: if `out` exists.
    """
    entry = get_entry(dataset)
    if dataset not in SHARED_DATASETS:
        raise ValueError(f"{dataset} has no protocol of label shares; those that have: {', '.join(SHARED_DATASETS)}")
    if tile_size < 1:
        raise ValueError(f"tile_size must be at least 1, got {tile_size}")
    require_absent(Path(out))
    with atomic_folder(out) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        stored = stored_values(entry)
        tiles = [
            tile
            for split, sample in labelled_samples(dataset, str(data_dir))
            for tile in cut_sample(sample, split, folder, tile_size, stored, entry.ignore_index)
        ]
        lists = divide_tiles(tiles, seed, by_scene, published_splits=dataset in PUBLISHED_SPLITS)
        for name, members in lists.items():
            lines = [f"images/{tile}.png\tmasks/{tile}.png\n" for tile in members]
            (folder / f"{name}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
        # Also tells the builders of the ISPRS datasets that masks hold class ids.
        settings = {"protocol": "label shares", "dataset": dataset, "seed": seed, "by_scene": by_scene}
        (folder / "preparation.jsonl").write_text(json.dumps({**settings, "tile_size": tile_size}) + "\n", "utf-8")
    return {name: len(members) for name, members in lists.items()}


def labelled_samples(dataset: str, data_dir: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The split and the sample of every image that has a mask."""
    from datasets import load_dataset

    splits = load_dataset(dataset, data_dir=data_dir, streaming=True)
    for split in splits:
        for sample in tqdm(splits[split], unit="image", desc=f"cutting {split}"):
            if sample["mask"] is not None:
                yield split, sample


def stored_values(entry: DatasetEntry) -> np.ndarray:
    """The stored value of every class id, uint8 `(256,)`, as the builder of the dataset reads it."""
    table = np.arange(256, dtype=np.uint8)
    for stored, class_id in (entry.builder_class().ENCODING.value_map or {}).items():
        table[class_id] = stored
    return table


def cut_sample(
    sample: Mapping[str, Any], split: str, folder: Path, size: int, stored: np.ndarray, ignore_index: int
) -> Iterator[Tile]:
    """Write the tiles of an image and its mask below `folder`."""
    image, mask = np.asarray(sample["image"].convert("RGB")), np.asarray(sample["mask"])
    domain, _, name = str(sample["id"]).rpartition("/")
    scene = f"{domain}_{name}".strip("_").replace("/", "_")
    for top in range(0, image.shape[0], size):
        for left in range(0, image.shape[1], size):
            tile_name = f"{scene}_{left}_{top}_{left + size}_{top + size}"
            save_tile(image, left, top, size, 0, folder / "images" / f"{tile_name}.png")
            save_tile(stored[mask], left, top, size, int(stored[ignore_index]), folder / "masks" / f"{tile_name}.png")
            yield Tile(tile_name, scene, split, domain)


def save_tile(pixels: np.ndarray, left: int, top: int, size: int, fill: int, path: Path) -> None:
    """Write a square of an image `(height, width)` or `(height, width, 3)`, filled up where it ends."""
    part = pixels[top : top + size, left : left + size]
    tile = np.full((size, size, *pixels.shape[2:]), fill, dtype=np.uint8)
    tile[: part.shape[0], : part.shape[1]] = part
    Image.fromarray(tile).save(path, compress_level=1)
