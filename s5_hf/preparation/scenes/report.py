"""The report on prepared scenes: counts, warnings, where the parts lie, and tiles to look at, on one HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...files.atomic import write_text
from ...imaging.natural_colors import natural_palette
from ...imaging.palettes import Palette
from ...imaging.rasters import open_dataset
from ...imaging.value_scaling import Scaling
from ...imaging.windows import Window
from ...pages import class_legend, color_legend, details, figure, inline_image, overlay, page, picture_grid, table
from ..manifest import CutTile
from .plan import SceneBlock, on_common_ground
from .prepared import PreparedScenes
from .scene_info import SceneInfo
from .settings import IGNORE_INDEX, PARTS

if TYPE_CHECKING:
    from ...modeling.value_scaling import ByteScaling

__all__ = ["REPORT_FILE", "write_report"]

REPORT_FILE = "report.html"

_SHOWN_TILES = 8
_TILE_SIDE = 200
_MAP_SIDE = 720
_PART_COLORS = {"train": "#0072b2", "val": "#e69f00", "test": "#d55e00"}


def write_report(
    path: Path,
    result: PreparedScenes,
    description: Mapping[str, Any],
    scenes: Sequence[SceneInfo],
    blocks: Sequence[SceneBlock],
    cut: Mapping[Any, CutTile],
) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        result: counts and warnings.
        description: the content of `dataset.json`.
        scenes: all scenes.
        blocks: all blocks.
        cut: what became of each block.
    """
    sections = [
        _overview(result, description, scenes),
        _warnings(result.warnings),
        _where(scenes, blocks),
        _pictures(path.parent, result.classes, blocks, cut),
        "<h2>Settings</h2>" + details("dataset.json", json.dumps(description, indent=2, ensure_ascii=False)),
    ]
    write_text(path, page("Prepared scenes", "".join(sections)))


def _overview(result: PreparedScenes, description: Mapping[str, Any], scenes: Sequence[SceneInfo]) -> str:
    heads = ("", *(part.part for part in result.parts))
    labelled = [sum(part.class_pixels.values()) for part in result.parts]
    totals = [max(1, count + part.ignored) for count, part in zip(labelled, result.parts, strict=True)]
    rows = [
        ("tiles", *(f"{part.tiles:,}" for part in result.parts)),
        ("left out: no data or no label", *(f"{part.empty:,}" for part in result.parts)),
        ("labelled pixels", *(f"{count / total:.1%}" for count, total in zip(labelled, totals, strict=True))),
    ]
    shares = [(name, *(f"{part.share(name):.2%}" for part in result.parts)) for name in result.classes]
    bands = ", ".join(description["bands"])
    size = f"{description['tile_size']} x {description['tile_size']} px"
    return (
        f"<p>Tiles of {size}, {len(scenes):,} scenes, bands {escape(bands)} ({escape(description['dtype'])}).</p>"
        f"{table(heads, rows)}<h2>Classes, share of the labelled pixels</h2>{table(heads, shares)}"
    )


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    return "<h2>Warnings</h2><ul>" + "".join(f"<li>{escape(warning)}</li>" for warning in warnings) + "</ul>"


def _where(scenes: Sequence[SceneInfo], blocks: Sequence[SceneBlock]) -> str:
    """A map of the scenes with their blocks, each in the colour of its part."""
    whole = [(scene, Window(0, 0, scene.width, scene.height)) for scene in scenes]
    hulls = [(block.scene, block.hull) for block in blocks]
    frames, _ = on_common_ground(whole)
    outlines, places = on_common_ground(hulls)
    if not len(frames):
        return ""
    corners = np.concatenate([np.asarray(frame.exterior.coords) for frame in frames])
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    scale = _MAP_SIDE / max(east - west, north - south)

    def drawn(outline: Any, style: str) -> str:
        points = " ".join(
            f"{(x - west) * scale:.1f},{(north - y) * scale:.1f}" for x, y in np.asarray(outline.exterior.coords)
        )
        return f'<polygon points="{points}" {style}/>'

    parts = [drawn(frame, 'fill="none" stroke="#999"') for frame in frames]
    for outline, place in zip(outlines, places, strict=True):
        color = _PART_COLORS[blocks[place].split]
        parts.append(drawn(outline, f'fill="{color}" fill-opacity=".45" stroke="{color}"'))
    width, height = (east - west) * scale, (north - south) * scale
    svg = f'<svg viewBox="-1 -1 {width + 2:.0f} {height + 2:.0f}" width="{width + 2:.0f}">{"".join(parts)}</svg>'
    return "<h2>Where the parts lie</h2>" + svg + color_legend(list(_PART_COLORS), list(_PART_COLORS.values()))


def _pictures(folder: Path, classes: Sequence[str], blocks: Sequence[SceneBlock], cut: Mapping[Any, CutTile]) -> str:
    """Tiles spread over each part, the image beside the image under its classes."""
    chosen = {
        part: _spread(
            [file for block in blocks if block.split == part for file in cut[block].files if "/images/" in file]
        )
        for part in PARTS
    }
    palette = natural_palette(classes)
    tiles = {name: _read(folder / name) for names in chosen.values() for name in names}
    scaling = _common_scaling([values for values, _ in tiles.values()])
    section = "<h2>Tiles</h2>" + class_legend(classes, palette)
    for part, names in chosen.items():
        if names:
            cells = [_tile(folder, name, tiles[name][0], scaling, palette) for name in names]
            section += f"<h3>{part}</h3>" + picture_grid(cells, columns=4, width=2 * _TILE_SIDE)
    return section


def _spread(names: Sequence[str]) -> list[str]:
    places = np.unique(np.linspace(0, len(names) - 1, min(_SHOWN_TILES, len(names))).round().astype(int))
    return [names[place] for place in places]


def _read(path: Path) -> tuple[np.ma.MaskedArray, Sequence[str]]:
    """Red, green and blue of a tile, masked where it holds no data, `(3, height, width)`."""
    with open_dataset(path) as dataset:
        names = [str(name).lower() for name in dataset.descriptions]
        colors = ("red", "green", "blue")
        if all(color in names for color in colors):
            bands = [names.index(color) + 1 for color in colors]
        else:
            bands = [1, 2, 3] if dataset.count >= 3 else [1, 1, 1]
        return np.ma.masked_invalid(dataset.read(bands, masked=True)), names


def _common_scaling(tiles: Sequence[np.ma.MaskedArray]) -> ByteScaling | None:
    """One way for all tiles from values to bytes; None where they are bytes."""
    if not tiles or tiles[0].dtype == np.uint8:
        return None
    sample = np.ma.concatenate([tile[:, ::4, ::4].reshape(3, -1) for tile in tiles], axis=1)
    from ...modeling.value_scaling import ByteScaling

    return ByteScaling.of_sample(sample, Scaling.percentiles, tiles[0].dtype)


def _tile(folder: Path, name: str, values: np.ma.MaskedArray, scaling: ByteScaling | None, palette: Palette) -> str:
    with open_dataset(folder / name.replace("/images/", "/masks/")) as dataset:
        ids = dataset.read(1)
    pixels = values.filled(0) if scaling is None else scaling.to_bytes(values.filled(0))
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    small = (_TILE_SIDE, _TILE_SIDE)
    classes = np.asarray(Image.fromarray(ids).resize(small, Image.Resampling.NEAREST))
    image = image.resize(small, Image.Resampling.BILINEAR)
    both = Image.new("RGB", (2 * _TILE_SIDE + 2, _TILE_SIDE), "white")
    both.paste(image, (0, 0))
    both.paste(overlay(image, classes, palette), (_TILE_SIDE + 2, 0))
    labelled = (ids != IGNORE_INDEX).mean()
    return figure([inline_image(both, name)], [f"{Path(name).stem}, {labelled:.0%} labelled"])
