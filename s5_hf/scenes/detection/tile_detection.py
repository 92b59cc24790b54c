"""The objects in a scene of any size, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...modeling.non_maximum_suppression import batched_rotated_nms
from ...modeling.oriented_boxes import flip_boxes_horizontally, flip_boxes_vertically
from ...predictors.image_probabilities import NonFiniteOutputError
from ...predictors.interfaces import Detections, SceneDetector
from ...predictors.normalization import normalize_pixels
from ...predictors.test_time_augmentation import FLIPS, check_augmentations
from ..source import SceneSource
from ..window_batches import prefetch, window_batches
from ..window_grid import WindowGrid
from .tile_journal import TileJournal
from .tile_merging import merge_found

__all__ = ["PUBLISHED_OVERLAP", "TileSettings", "detect_objects", "detect_with_flips", "tile_grid"]

PUBLISHED_OVERLAP = 200 / 1024
"""The share of a tile that the release's DOTA tiles have in common."""


@dataclass(frozen=True)
class TileSettings:
    """How a scene is cut, and which objects are kept. Tile and overlap are the published ones for DOTA (200 of 1024
    pixels).

    Attributes:
        tile: side of a tile in pixels. A scene that is smaller is one tile of its own size.
        overlap: share of a tile that the next one covers again, 0 to below 1, rounded to whole pixels; objects up to
            about this length are whole in some tile.
        batch_size: tiles per forward pass.
        flips: views of a tile whose objects are combined: none, horizontal, vertical, both.
        threshold: lowest score, exclusive. The published 0.05 is for average precision; maps want more.
        iou_threshold: of two objects of a class in one tile that overlap by more than this rotated IoU the better one
            stays.
        merge_iou_threshold: the same for objects of different tiles, see `merge_tiles`. The release merges its DOTA
            results at 0.5, which scores better where objects are crowded, and leaves more objects twice.
        max_detections: the best that are kept per tile.

    Raises:
        ValueError: a value is out of range.
    """

    tile: int = 1024
    overlap: float = PUBLISHED_OVERLAP
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
        if not 0 <= self.overlap < 1:
            raise ValueError(
                f"overlap must be a share of the tile, 0 to below 1, such as 0.2; got {self.overlap:g} (in pixels? "
                "divide by the tile)"
            )
        for name in ("threshold", "iou_threshold", "merge_iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1, got {getattr(self, name)}")

    @property
    def stride(self) -> int:
        """Pixels from tile to tile."""
        return max(1, self.tile - round(self.tile * self.overlap))


def tile_grid(height: int, width: int, settings: TileSettings) -> WindowGrid:
    """The tiles over a scene; the last ones are shifted back to end at its border."""
    window = min(settings.tile, height), min(settings.tile, width)
    return WindowGrid.over(height, width, window, (min(settings.stride, window[0]), min(settings.stride, window[1])))


def detect_objects(
    scene: SceneSource,
    detector: SceneDetector,
    settings: TileSettings,
    on_tiles: Callable[[int], None] = lambda done: None,
    journal: TileJournal | None = None,
) -> Detections:
    """The objects in a scene.

    The memory used for pixels is that of the scene's width times the height of a tile. Tiles without data are
    skipped.

    Args:
        scene: the scene, read from top to bottom.
        detector: the network.
        settings: tiles and thresholds.
        on_tiles: takes the number of finished tiles, at the start and after every batch.
        journal: keeps the objects of each tile; tiles it already holds are skipped.

    Returns:
        float64 boxes, float32 scores and labels on the CPU, best first.

    Raises:
        NonFiniteOutputError: the network gives NaN or infinity; names the window.
    """
    grid = tile_grid(scene.height, scene.width, settings)
    done, tiles = (0, {}) if journal is None else (journal.done, dict(journal.tiles))
    on_tiles(done)
    for batch in prefetch(window_batches(scene, grid, settings.batch_size, len(detector.image_mean), done)):
        found: list[Detections] = []
        if batch.indices:
            pixel_values = normalize_pixels(batch.pixels, detector)
            place = partial(_describe, grid, batch.indices, scene.name)
            found = detect_with_flips(detector, pixel_values, settings, place)
        new = dict(zip(batch.indices, found, strict=True))
        tiles |= new
        if journal is not None:
            journal.add(batch.last + 1, new)
        on_tiles(batch.last + 1)
    return merge_found(tiles, grid, (scene.height, scene.width), settings.merge_iou_threshold)


def detect_with_flips(
    detector: SceneDetector, pixel_values: Tensor, settings: TileSettings, place: Callable[[int], str]
) -> list[Detections]:
    """The objects in each of several images, from all views; on the CPU.

    An object found in several views is kept once, with the box and the score of the view with the highest score.

    Args:
        detector: the network.
        pixel_values: normalised images `(batch, channels, height, width)`.
        settings: flips and thresholds.
        place: names an image by its index in the batch, for errors.

    Raises:
        NonFiniteOutputError: the network gives NaN or infinity; names the image.
    """
    try:
        views = [_detect_flipped(detector, pixel_values, flip, settings) for flip in settings.flips]
    except NonFiniteOutputError as error:
        raise NonFiniteOutputError(place(error.index), error.index) from error
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
    detected = detector.detect(images, settings.threshold, settings.iou_threshold, settings.max_detections)
    for index, found in enumerate(detected):
        boxes = found["boxes"].cpu().double()
        if not (boxes.isfinite().all() and found["scores"].isfinite().all()):
            raise NonFiniteOutputError(f"image {index} of a batch", index)
        boxes = flip_boxes_horizontally(boxes, width) if 3 in axes else boxes
        boxes = flip_boxes_vertically(boxes, height) if 2 in axes else boxes
        results.append({"boxes": boxes, "scores": found["scores"].cpu().float(), "labels": found["labels"].cpu()})
    return results


def _best_of(views: Sequence[Detections], settings: TileSettings) -> Detections:
    found = {name: torch.cat([view[name] for view in views]) for name in views[0]}
    kept = batched_rotated_nms(found["boxes"], found["scores"], found["labels"], settings.iou_threshold)
    return {name: values[kept[: settings.max_detections]] for name, values in found.items()}


def _describe(grid: WindowGrid, indices: Sequence[int], scene: str, index: int) -> str:
    return grid.describe(indices[index], scene)
