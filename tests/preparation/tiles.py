"""Small raw tiles in the publishers' naming, for the tests of the cutters."""

from pathlib import Path

import numpy as np
from PIL import Image

from s5_hf.dataset_builders.labels import ISAID_PALETTE, ISPRS_PALETTE


def random_image(path: Path, width: int, height: int, seed: int = 0) -> np.ndarray:
    """Write a random RGB image and return its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def random_label(path: Path, width: int, height: int, palette=ISPRS_PALETTE, seed: int = 1) -> np.ndarray:
    """Write a random label image in a palette's colours and return its ids."""
    ids = np.random.default_rng(seed).integers(0, len(palette), (height, width)).astype(np.uint8)
    write_label(path, ids, palette)
    return ids


def write_label(path: Path, ids: np.ndarray, palette) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(palette, dtype=np.uint8)[ids]).save(path)


def potsdam_tile(raw: Path, name: str, width: int = 600, height: int = 550) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of one Potsdam tile, in the publisher's folders; returns pixels and ids."""
    pixels = random_image(raw / "2_Ortho_RGB" / f"top_potsdam_{name}_RGB.tif", width, height)
    ids = random_label(raw / "5_Labels_all" / f"top_potsdam_{name}_label.tif", width, height)
    return pixels, ids


def isaid_tile(raw: Path, split: str, name: str, ids: np.ndarray) -> np.ndarray:
    """Image and label of one iSAID image; returns the pixels."""
    height, width = ids.shape
    write_label(raw / split / "Semantic_masks" / "images" / f"{name}_instance_color_RGB.png", ids, ISAID_PALETTE)
    return random_image(raw / split / "images" / f"{name}.png", width, height)
