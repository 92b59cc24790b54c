"""A scene and its maps as a pyramid of tiles, for what a page shows when it is zoomed in.

Every tile is a script of one call, `viewerTile(KEY, [SCENE, MAP, ...])`, whose pictures are data URIs: pages that are
opened as files may neither fetch other files nor read the pixels of pictures in them, but they may run scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ...files.atomic import temporary_folder
from ...pages.parts import image_data
from ..reduction import scene_bands
from ..source import SceneSource
from .layers import MapLayer

__all__ = [
    "TILE_SIZE",
    "TilePyramid",
    "embedded_tiles",
    "put_in_place",
    "pyramid_factors",
    "require_replaceable",
    "tile_folder",
    "write_tiles",
]

TILE_SIZE = 512
"""Pixels of a tile along each side; tiles at the right and lower end are smaller."""

_FORMAT = "s5_hf viewer tiles 1"
_MARKER = "tiles.json"
_JPEG_QUALITY = 84
_BAND_PIXELS = 2**21  # the scene and all maps are read side by side


@dataclass(frozen=True)
class TilePyramid:
    """Tiles that were written.

    Attributes:
        factors: pixels of the scene per pixel of a tile, along each side, one entry per level, rising.
        count: of tiles.
        size: their bytes.
    """

    factors: tuple[int, ...]
    count: int
    size: int


def tile_folder(page: Path) -> Path:
    """Where the tiles of a page are that are too large to be inside it."""
    return page.with_name(f"{page.stem}_viewer_tiles")


def pyramid_factors(overview: int) -> tuple[int, ...]:
    """The levels below an overview that is reduced by `overview`: the powers of two below it, rising."""
    return tuple(1 << level for level in range((overview - 1).bit_length()))


def write_tiles(
    folder: Path, scenes: Sequence[SceneSource], layers: Sequence[MapLayer], factors: tuple[int, ...]
) -> TilePyramid:
    """Write `<folder>/<factor>/<row>/<column>.js` for all tiles. Rows are read a band at a time, once for each level.

    Args:
        folder: an empty one.
        scenes: open ones, of one size.
        layers: the maps, in the order in which tiles hold them after the pictures of the scenes.
        factors: of the levels.
    """
    count = size = 0
    total = sum(-(-scenes[0].height // (TILE_SIZE * factor)) for factor in factors)
    with tqdm(total=total, desc="writing tiles", unit="row of tiles", disable=None) as bar:
        for factor in factors:
            bands = [scene_bands(scene, factor, _BAND_PIXELS) for scene in scenes]
            bands += [layer.bands(factor, _BAND_PIXELS) for layer in layers]
            for row, strips in enumerate(zip(*map(_strips, bands), strict=True)):
                dates, maps = strips[: len(scenes)], strips[len(scenes) :]
                row_folder = folder / str(factor) / str(row)
                row_folder.mkdir(parents=True)
                for column, left in enumerate(range(0, dates[0].shape[1], TILE_SIZE)):
                    part = slice(left, left + TILE_SIZE)
                    pictures = [_picture(picture[:, part]) for picture in dates]
                    pictures += [_numbers(numbers[:, part]) for numbers in maps]
                    script = f"viewerTile({json.dumps(f'{factor}/{row}/{column}')},{json.dumps(pictures)});\n"
                    (row_folder / f"{column}.js").write_text(script, encoding="utf-8", newline="\n")
                    count, size = count + 1, size + len(script)
                bar.update()
    description = {"format": _FORMAT, "tile_size": TILE_SIZE, "factors": factors}
    (folder / _MARKER).write_text(json.dumps(description) + "\n", encoding="utf-8", newline="\n")
    return TilePyramid(factors, count, size)


def embedded_tiles(folder: Path) -> str:
    """All tiles of a folder as one JSON object: key to pictures."""
    entries = []
    for path in sorted(folder.glob("*/*/*.js")):
        arguments = path.read_text(encoding="utf-8").removeprefix("viewerTile(").removesuffix(");\n")
        key, _, pictures = arguments.partition(",")
        entries.append(f"{key}:{pictures}")
    return "{" + ",".join(entries) + "}"


def require_replaceable(folder: Path, overwrite: bool) -> None:
    """Raise a FileExistsError where a page's folder is taken, unless it holds tiles and may be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"{folder} exists already; move it away, or choose overwrite (--overwrite)")
    try:
        holds_tiles = json.loads((folder / _MARKER).read_text(encoding="utf-8"))["format"] == _FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        holds_tiles = False
    if not holds_tiles:
        raise FileExistsError(f"{folder} does not hold tiles of such a page, so it is not replaced; move it away")


def put_in_place(tiles: Path | None, folder: Path) -> None:
    """Replace the folder of a page by another one, or remove it where there is none."""
    with temporary_folder(folder) as aside:
        former = aside / "former"
        if folder.exists():
            folder.replace(former)
        if tiles is None:
            return
        try:
            tiles.replace(folder)
        except OSError:
            if former.exists():
                former.replace(folder)
            raise


def _strips(bands: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Bands of any number of rows as strips of `TILE_SIZE` rows; the last one may be lower."""
    held: np.ndarray | None = None
    for band in bands:
        held = band if held is None else np.concatenate([held, band])
        while len(held) >= TILE_SIZE:
            yield held[:TILE_SIZE]
            held = held[TILE_SIZE:]
    if held is not None and len(held):
        yield held


def _picture(pixels: np.ndarray) -> str:
    return image_data(Image.fromarray(np.ascontiguousarray(pixels)), quality=_JPEG_QUALITY, optimize=True)


def _numbers(numbers: np.ndarray) -> str:
    return image_data(Image.fromarray(np.ascontiguousarray(numbers)), "PNG", optimize=True)
