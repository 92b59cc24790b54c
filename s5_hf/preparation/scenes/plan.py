"""Where the tiles of a dataset lie, and to which part each belongs, before any is cut."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ...dataset_builders.coordinate_systems import points_in_crs, same_crs
from ...imaging.rasters import open_dataset
from ...imaging.windows import Window
from ..manifest import RawTile
from .blocks import block_windows, tile_windows
from .labels import SceneLabels
from .scene_info import SceneInfo, read_values
from .settings import IGNORE_INDEX, PARTS, SplitSettings, TileSettings
from .split import assign_parts
from .vector_labels import draw_polygons, near_window, window_transform
from .vector_layer import PolygonLayer

__all__ = ["SceneBlock", "inside_areas", "on_common_ground", "plan_blocks"]

# Side lengths of blocks, in tiles, that are tried in turn until there are enough blocks.
_BLOCK_TILES = (4, 2, 1)
_ENOUGH_BLOCKS = 20
# A tile is looked at in about so many places a side when blocks are shared out.
_COARSE_PLACES = 16
# Blocks of two scenes that share more than this of the smaller lie on the same ground.
_SAME_GROUND = 0.5
# Tiles that are cut together: the steps in which a preparation is divided among processes, and resumes.
_TILES_AT_ONCE = 32


@dataclass(frozen=True)
class SceneBlock(RawTile):
    """Tiles of one scene that are cut together. `name` is unique, `split` is the part, `image` the scene.

    Attributes:
        scene: what is known of the scene.
        windows: of the tiles, in pixels of the scene.
    """

    scene: SceneInfo | None = None
    windows: tuple[Window, ...] = ()

    @property
    def hull(self) -> Window:
        """The smallest window around all tiles."""
        edges = np.array(self.windows)
        return Window(*edges[:, :2].min(axis=0).tolist(), *edges[:, 2:].max(axis=0).tolist())

    def sources(self) -> list[list[Any]]:
        assert self.scene is not None
        return [self.scene.identity()]


@dataclass(frozen=True)
class _Unit:
    """A block with what decides about its part: pixels of each class, at a coarse look."""

    scene: SceneInfo
    block: Window
    counts: np.ndarray


def plan_blocks(
    scenes: Sequence[SceneInfo],
    labels: SceneLabels,
    num_classes: int,
    areas: PolygonLayer | None,
    tiles: TileSettings,
    split: SplitSettings,
) -> tuple[list[SceneBlock], list[str]]:
    """Lay blocks over scenes, give each a part, and leave out tiles that come too near to another part.

    Returns:
        Blocks with at least one tile, and warnings.

    Raises:
        OSError: a scene cannot be read.
        ValueError: too few blocks or scenes with labels for the parts, or a pattern that no scene has.
    """
    fixed = _fixed_parts(scenes, split)
    coarse = [
        _coarse_ids(scene, labels, areas, max(1, tiles.size // _COARSE_PLACES))
        for scene in tqdm(scenes, desc="looking at labels", unit="scene")
    ]
    if all((ids == IGNORE_INDEX).all() for ids, _ in coarse):
        raise ValueError("no label lies where a scene holds data, inside the areas of interest if there are any")
    gap = split.gap_pixels(tiles.size)
    for block_tiles in (split.block_tiles,) if split.block_tiles else _BLOCK_TILES:
        units = _units(scenes, coarse, num_classes, tiles, split, fixed, block_tiles, gap)
        if split.by == "scenes" or sum(unit.counts.any() for unit in units) >= _ENOUGH_BLOCKS:
            break
    decided = [fixed.get(unit.scene.name) for unit in units]
    groups = _same_ground([(unit.scene, unit.block) for unit in units])
    parts = assign_parts(np.stack([unit.counts for unit in units]), groups, decided, split.shares(), split.seed)
    blocks = [
        SceneBlock(
            f"{unit.scene.name}_{unit.block.left}_{unit.block.top}", part, Path(unit.scene.path), None,
            scene=unit.scene, windows=tuple(tile_windows(unit.block, tiles)),
        )
        for unit, part in zip(units, parts, strict=True)
    ]  # fmt: skip
    return _kept_apart(blocks, gap)


def _fixed_parts(scenes: Sequence[SceneInfo], split: SplitSettings) -> dict[str, str]:
    """The part of scenes that a pattern names."""
    fixed: dict[str, str] = {}
    for part, patterns in (("val", split.val_scenes), ("test", split.test_scenes)):
        for pattern in patterns:
            found = [scene.name for scene in scenes if fnmatchcase(scene.name, pattern)]
            if not found:
                names = ", ".join(scene.name for scene in scenes[:12])
                raise ValueError(f"no scene has a name such as {pattern!r} ({part}); scenes: {names}")
            if both := [name for name in found if fixed.get(name, part) != part]:
                raise ValueError(f"the scene {both[0]} is named both for val and for test")
            fixed.update(dict.fromkeys(found, part))
    return fixed


def _coarse_ids(
    scene: SceneInfo, labels: SceneLabels, areas: PolygonLayer | None, step: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Class ids of a scene at a coarse look, ignored where there is no data, and pixels per place (across, down)."""
    shape = (-(-scene.height // step), -(-scene.width // step))
    whole = Window(0, 0, scene.width, scene.height)
    ids, _ = labels.class_ids(scene, whole, shape)
    if areas is not None:
        ids[~inside_areas(areas, scene, whole, shape)] = IGNORE_INDEX
    with open_dataset(scene.path) as dataset:
        _, valid = read_values(dataset, scene, shape=shape)
    ids[~valid] = IGNORE_INDEX
    return ids, (scene.width / shape[1], scene.height / shape[0])


def inside_areas(areas: PolygonLayer, scene: SceneInfo, window: Window, shape: tuple[int, int]) -> np.ndarray:
    """Which pixels of a reduced window lie in an area of interest, by their centres: bool of the shape."""
    geometries, tree = areas.in_crs(scene.crs)
    found = tree.query(scene.footprint(window), predicate="intersects")
    shapes = [(geometry, 1) for geometry in near_window(geometries[found], scene, window)]
    return draw_polygons(shapes, shape, window_transform(scene, window, shape), 0, all_touched=False) > 0


def _units(
    scenes: Sequence[SceneInfo],
    coarse: Sequence[tuple[np.ndarray, tuple[float, float]]],
    num_classes: int,
    tiles: TileSettings,
    split: SplitSettings,
    fixed: Container[str],
    block_tiles: int,
    gap: int,
) -> list[_Unit]:
    """The blocks of all scenes, or the scenes as a whole, with their labels."""
    units, has_choice = [], sum(share > 0 for share in split.shares().values()) > 1
    for scene, (ids, (across, down)) in zip(scenes, coarse, strict=True):
        blocks = [Window(0, 0, scene.width, scene.height)]
        if split.by == "blocks" and scene.name not in fixed and has_choice:
            blocks = block_windows(scene.width, scene.height, tiles, block_tiles, gap)
        for block in blocks:
            rows = slice(int(block.top / down), max(int(block.top / down) + 1, int(block.bottom / down)))
            columns = slice(int(block.left / across), max(int(block.left / across) + 1, int(block.right / across)))
            found = ids[rows, columns]
            counts = np.bincount(found[found != IGNORE_INDEX].ravel(), minlength=num_classes)[:num_classes]
            units.append(_Unit(scene, block, counts * across * down))
    return units


def _same_ground(units: Sequence[tuple[SceneInfo, Window]]) -> list[int]:
    """A number for each unit, the same for units of different scenes that lie on mostly the same ground."""
    import shapely

    groups = list(range(len(units)))
    outlines, places = on_common_ground(units)
    if len(outlines) < 2:
        return groups
    for one, two in shapely.STRtree(outlines).query(outlines, predicate="intersects").T:
        first, second = places[one], places[two]
        if first >= second or units[first][0] is units[second][0]:
            continue
        shared = outlines[one].intersection(outlines[two]).area
        if shared > _SAME_GROUND * min(outlines[one].area, outlines[two].area):
            old, new = sorted((groups[first], groups[second]), reverse=True)
            groups = [new if group == old else group for group in groups]
    return groups


def on_common_ground(units: Sequence[tuple[SceneInfo, Window]]) -> tuple[np.ndarray, list[int]]:
    """Outlines of windows of scenes in the CRS of the first scene that has one, and which units they belong to."""
    import shapely

    common = next((scene.crs for scene, _ in units if scene.crs is not None), None)
    outlines, places = [], []
    for index, (scene, window) in enumerate(units):
        if scene.crs is None:
            continue
        corners = scene.corners(window)
        if not same_crs(scene.crs, common):
            corners = points_in_crs(corners, scene.crs, common)
        outlines.append(shapely.Polygon(corners))
        places.append(index)
    return np.array(outlines, dtype=object), places


def _kept_apart(blocks: list[SceneBlock], gap: int) -> tuple[list[SceneBlock], list[str]]:
    """Blocks without the tiles that come nearer than the gap to a tile of a later part of `PARTS`.

    Within a scene the blocks are apart already; this is for scenes that overlap one another.
    """
    import shapely

    tiles = [(number, window) for number, block in enumerate(blocks) for window in block.windows]
    outlines, places = on_common_ground([(blocks[number].scene, window) for number, window in tiles])
    ranks = np.array([PARTS.index(blocks[tiles[place][0]].split) for place in places])
    dropped: set[int] = set()
    for rank in range(len(PARTS) - 1, 0, -1):
        kept = [index for index in np.flatnonzero(ranks == rank) if places[index] not in dropped]
        earlier = np.flatnonzero(ranks < rank)
        if not kept or not len(earlier):
            continue
        # Rounding must not tell tiles apart that have the gap exactly.
        side = 0.999 * gap * np.sqrt(shapely.area(outlines[kept]).min()) / tiles[places[kept[0]]][1].width
        tree = shapely.STRtree(outlines[earlier])
        near = tree.query(outlines[kept], predicate="dwithin", distance=side)[1]
        dropped.update(places[index] for index in earlier[near])
    remaining: list[list[Window]] = [[] for _ in blocks]
    for place, (number, window) in enumerate(tiles):
        if place not in dropped:
            remaining[number].append(window)
    found = [
        replace(block, name=f"{block.name}_{start}", windows=tuple(windows[start : start + _TILES_AT_ONCE]))
        for block, windows in zip(blocks, remaining, strict=True)
        for start in range(0, len(windows), _TILES_AT_ONCE)
    ]
    notes = []
    if dropped:
        notes.append(
            f"{len(dropped):,} of {len(tiles):,} tiles are left out because they lie within {gap} pixels of a tile of "
            "another part: scenes overlap"
        )
    return found, notes
