"""The objects in a scene of any size, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..inference.scene_segmenter import normalize_pixels
from ..inference.scene_source import SceneSource
from ..inference.test_time_augmentation import FLIPS, check_augmentations
from ..inference.window_batches import prefetch, window_batches
from ..inference.windows import WindowGrid
from ..modeling.non_maximum_suppression import batched_rotated_nms
from ..modeling.oriented_boxes import flip_boxes_horizontally, flip_boxes_vertically
from .scene_detector import Detections, SceneDetector
from .tile_journal import TileJournal
from .tile_merging import merge_tiles

__all__ = ["TileSettings", "detect_objects", "detect_with_flips", "tile_grid"]


@dataclass(frozen=True)
class TileSettings:
    """How a scene is cut, and which objects are kept. Tile and overlap are the published ones for DOTA.

    Attributes:
        tile: side of a tile in pixels. A scene that is smaller is one tile of its own size.
        overlap: pixels that neighbouring tiles share; objects up to about this length are whole in some tile.
        batch_size: tiles per forward pass.
        flips: views of a tile whose objects are put together: none, horizontal, vertical, both.
        threshold: least score, exclusive. The published 0.05 is for average precision; maps want more.
        iou_threshold: of two objects of a class in one tile that overlap by more than this rotated IoU the better one
            stays.
        merge_iou_threshold: the same for objects of different tiles, see `merge_tiles`. The release merges its DOTA
            results at 0.5, which scores better where objects are crowded, and leaves more objects twice.
        max_detections: the best that are kept per tile.

    Raises:
        ValueError: a value is out of range.
    """

    tile: int = 1024
    overlap: int = 200
    batch_size: int = 2
    flips: Sequence[str] = ("none",)
    threshold: float = 0.3
    iou_threshold: float = 0.1
    merge_iou_threshold: float = 0.1
    max_detections: int = 2000

    def __post_init__(self) -> None:
        check_augmentations(self.flips, (1.0,))
        for name in ("tile", "batch_size", "max_detections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.overlap < self.tile:
            raise ValueError(f"overlap must be in 0..{self.tile - 1}, below the tile, got {self.overlap}")
        for name in ("threshold", "iou_threshold", "merge_iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")


def tile_grid(height: int, width: int, settings: TileSettings) -> WindowGrid:
    """The tiles over a scene; the last ones are shifted back to end at its border."""
    window = min(settings.tile, height), min(settings.tile, width)
    stride = settings.tile - settings.overlap
    return WindowGrid.over(height, width, window, (min(stride, window[0]), min(stride, window[1])))


def detect_objects(
    scene: SceneSource,
    detector: SceneDetector,
    settings: TileSettings,
    on_tiles: Callable[[int], None] = lambda done: None,
    journal: TileJournal | None = None,
) -> Detections:
    """The objects in a scene.

    The memory used for pixels is that of the scene's width times the height of a tile. Tiles without data are passed
    over.

    Args:
        scene: the scene, read from top to bottom.
        detector: the network.
        settings: tiles and thresholds.
        on_tiles: takes the number of tiles that are done, at first and after every batch.
        journal: keeps what the tiles give; those it holds already are not looked at again.

    Returns:
        float64 boxes, float32 scores and labels on the CPU, best first.
    """
    grid = tile_grid(scene.height, scene.width, settings)
    done, tiles = (0, {}) if journal is None else (journal.done, dict(journal.tiles))
    on_tiles(done)
    for batch in prefetch(window_batches(scene, grid, settings.batch_size, len(detector.image_mean), done)):
        found: list[Detections] = []
        if batch.indices:
            found = detect_with_flips(detector, normalize_pixels(batch.pixels, detector), settings)
        new = dict(zip(batch.indices, found, strict=True))
        tiles |= new
        if journal is not None:
            journal.add(batch.last + 1, new)
        on_tiles(batch.last + 1)
    moved = [_moved(found, grid[index].left, grid[index].top) for index, found in tiles.items()]
    numbers = [torch.full((len(found["scores"]),), index) for index, found in tiles.items()]
    together = {name: torch.cat([part[name] for part in (_nothing(), *moved)]) for name in _nothing()}
    origins = torch.cat([torch.empty(0, dtype=torch.int64), *numbers])
    return merge_tiles(together, origins, grid, (scene.height, scene.width), settings.merge_iou_threshold)


def detect_with_flips(detector: SceneDetector, pixel_values: Tensor, settings: TileSettings) -> list[Detections]:
    """The objects in each of several images, from all views; on the CPU.

    An object that several views show is there once, with the box and the score of the view that is surest.
    """
    views = [_detect_flipped(detector, pixel_values, flip, settings) for flip in settings.flips]
    if len(views) == 1:
        return views[0]
    return [_best_of(found, settings) for found in zip(*views, strict=True)]


def _detect_flipped(
    detector: SceneDetector, pixel_values: Tensor, flip: str, settings: TileSettings
) -> list[Detections]:
    height, width = pixel_values.shape[2:]
    axes = FLIPS[flip]
    images = pixel_values.flip(axes) if axes else pixel_values
    results = []
    for found in detector.detect(images, settings.threshold, settings.iou_threshold, settings.max_detections):
        boxes = found["boxes"].cpu().double()
        boxes = flip_boxes_horizontally(boxes, width) if 3 in axes else boxes
        boxes = flip_boxes_vertically(boxes, height) if 2 in axes else boxes
        results.append({"boxes": boxes, "scores": found["scores"].cpu().float(), "labels": found["labels"].cpu()})
    return results


def _best_of(views: Sequence[Detections], settings: TileSettings) -> Detections:
    found = {name: torch.cat([view[name] for view in views]) for name in views[0]}
    kept = batched_rotated_nms(found["boxes"], found["scores"], found["labels"], settings.iou_threshold)
    return {name: values[kept[: settings.max_detections]] for name, values in found.items()}


def _moved(found: Detections, left: int, top: int) -> Detections:
    return {**found, "boxes": found["boxes"] + torch.tensor([left, top, 0, 0, 0], dtype=torch.float64)}


def _nothing() -> Detections:
    return {
        "boxes": torch.zeros(0, 5, dtype=torch.float64),
        "scores": torch.zeros(0),
        "labels": torch.zeros(0, dtype=torch.int64),
    }
