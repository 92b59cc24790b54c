"""Synthetic scenes as a folder of images, masks and DOTA annotations."""

import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..files.atomic import atomic_file
from ..imaging.drawing import oriented_box_corners
from .canvas import METRES_PER_PIXEL, SCENE_LABELS
from .scene import BOX_LABELS, SyntheticScene, checked_shape, scene_seeds, synthetic_scene

DESCRIPTION_FILE = "synthetic.json"


def write_synthetic_dataset(
    folder: str | os.PathLike[str], count: int, size: int | tuple[int, int] = 512, seed: int = 0
) -> Path:
    """Write the scenes of `synthetic_dataset(count, size, seed)` as files.

    The folder then holds `images/scene_000000.png` (RGB), `masks/scene_000000.png` (grey, class ids) and
    `labelTxt/scene_000000.txt` (DOTA text: a line `x1 y1 x2 y2 x3 y3 x4 y4 class difficult` for each box) and so on,
    and `synthetic.json`, which says what it was made from and names the classes.

    Each file appears under its name only when it is complete. After an interruption the same call resumes where the
    last one stopped.

    Args:
        folder: made if missing; must be empty, or come from the same call.

    Returns:
        The folder.

    Raises:
        FileExistsError: the folder holds something else; nothing is changed.
        NotADirectoryError: `folder` is a file.
        TypeError, ValueError: as `synthetic_dataset`.
    """
    folder = Path(folder)
    seeds = scene_seeds(count, seed)
    description = {
        "count": len(seeds),
        "size": list(checked_shape(size)),
        "seed": int(seed),
        "metres_per_pixel": METRES_PER_PIXEL,
        "labels": list(SCENE_LABELS),
        "box_labels": list(BOX_LABELS),
    }
    _claim_folder(folder, description)
    for part in ("images", "masks", "labelTxt"):
        (folder / part).mkdir(exist_ok=True)
    for index, scene_seed in enumerate(tqdm(seeds, desc="Synthetic scenes", unit="scene")):
        name = f"scene_{index:06d}"
        image, mask = folder / "images" / f"{name}.png", folder / "masks" / f"{name}.png"
        label = folder / "labelTxt" / f"{name}.txt"
        if image.exists() and mask.exists() and label.exists():
            continue
        scene = synthetic_scene(size, scene_seed)
        write_file(image, png(scene.image))
        write_file(mask, png(scene.mask))
        write_file(label, dota_text(scene).encode("utf-8"))
    return folder


def dota_text(scene: SyntheticScene) -> str:
    """The boxes of a scene in DOTA's text format: eight corner coordinates, class name, and 0 for not difficult."""
    corners = oriented_box_corners(scene.boxes).reshape(-1, 8)
    return "".join(
        " ".join(f"{value:.2f}" for value in row) + f" {BOX_LABELS[label]} 0\n"
        for row, label in zip(corners, scene.box_labels, strict=True)
    )


def _claim_folder(folder: Path, description: dict[str, object]) -> None:
    """Make the folder with its description, or check that it has the same description."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; a folder is needed for the scenes")
    file = folder / DESCRIPTION_FILE
    if file.exists():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != description:
            raise FileExistsError(
                f"{folder} holds other synthetic scenes, made from {found}; asked for {description}. "
                "Remove it or choose another folder"
            )
    elif folder.exists() and any(path.suffix != ".partial" for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and holds no {DESCRIPTION_FILE}; choose another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(file, (json.dumps(description, indent=2) + "\n").encode("utf-8"))


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def write_file(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
