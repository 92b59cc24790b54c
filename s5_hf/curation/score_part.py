"""Scoring one part: decode and cut in threads, segment in batches, hand rows out in the order of the patches."""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from ..dataset_builders.errors import CorruptImageError, SampleError
from ..files.processes import ordered_results
from ..predictors.feature_segmenter import Segmenter, background_index
from ..predictors.image_probabilities import NonFiniteOutputError
from ..predictors.normalization import input_settings
from .entropy import PatchStatistics, patch_statistics
from .patches import EDGES, Patch, cut_patches
from .sources import ImageList

if TYPE_CHECKING:
    from ..dataset_builders.shards import Sample

__all__ = ["PartScorer", "ScoreSettings"]

logger = logging.getLogger(__name__)

_PENDING_BATCHES = 8
_NOT_FINITE = "the logits are not finite"
_NO_DATA = "all pixels are no data"


@dataclass(frozen=True)
class ScoreSettings:
    """How patches are cut and scored.

    Attributes:
        patch_size: side of a patch in pixels; larger images are cut, smaller ones taken as they are. `None` takes
            every image as a whole.
        stride: pixels between patches, by default `patch_size`.
        edges: where patches do not end at an image's border, `"shift"` moves the last one inwards, over others;
            `"drop"` leaves the rest of the image out.
        batch_size: patches per forward pass.
        part_size: images per part. A stopped run loses at most the part that each process was in.
        background: class left out of the entropy: its name or id, `None` for none, `"auto"` for the class called
            "background" if the model has one.
        pseudo_masks: whether to keep the predicted classes, as PNG, for `export`.
        nodata: pixels with this value in all channels do not count (black margins: 0).
        corrupt_images: those that cannot be read, or for which the model gives NaN: `"raise"`, or `"skip"` to note
            them in the scores and continue.
        threads: that decode images, per process.
    """

    patch_size: int | None = 512
    stride: int | None = None
    edges: str = "shift"
    batch_size: int = 16
    part_size: int = 1024
    background: str | int | None = "auto"
    pseudo_masks: bool = False
    nodata: int | None = None
    corrupt_images: str = "raise"
    threads: int = 4

    def __post_init__(self) -> None:
        for name in ("patch_size", "stride", "batch_size", "part_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.stride is not None and (self.patch_size is None or self.stride > self.patch_size):
            raise ValueError(f"stride {self.stride} must not exceed patch_size {self.patch_size}")
        if self.edges not in EDGES:
            raise ValueError(f"edges must be one of {', '.join(EDGES)}, got {self.edges!r}")
        if self.nodata is not None and not 0 <= self.nodata <= 255:
            raise ValueError(f"nodata must lie in 0..255, got {self.nodata}")
        if self.corrupt_images not in ("raise", "skip"):
            raise ValueError(f"corrupt_images must be raise or skip, got {self.corrupt_images!r}")


@dataclass
class PartScorer:
    """Turns ranges of images into rows of the score table.

    Attributes:
        segmenter: the model.
        images: the list that ranges refer to.
        settings: how patches are cut and scored.
        pool: threads that decode images and encode masks.
    """

    segmenter: Segmenter
    images: ImageList
    settings: ScoreSettings
    pool: ThreadPoolExecutor
    _rows: dict[int, dict] = field(default_factory=dict)
    _in_flight: deque = field(default_factory=deque)

    def rows(self, start: int, stop: int) -> Iterator[dict]:
        """The rows of all patches of the images `start` to `stop`, in order.

        Raises:
            CorruptImageError: for an image that cannot be read, unless `corrupt_images="skip"`.
            NonFiniteOutputError: for a patch for which the model gives NaN or infinity, unless it is skipped.
        """
        self._rows.clear()
        self._in_flight.clear()
        batch_size = self.settings.batch_size
        waiting: dict[tuple[int, ...], list[tuple[int, Patch]]] = {}
        number_waiting = handed_out = 0
        for position, item in enumerate(self._patches(start, stop)):
            if isinstance(item, dict):
                self._rows[position] = item
            else:
                group = waiting.setdefault(item.pixels.shape, [])
                group.append((position, item))
                number_waiting += 1
                if len(group) == batch_size or number_waiting == _PENDING_BATCHES * batch_size:
                    fullest = max(waiting, key=lambda shape: len(waiting[shape]))
                    number_waiting -= len(waiting[fullest])
                    self._launch(waiting.pop(fullest))
            while handed_out in self._rows:
                yield self._finished(handed_out)
                handed_out += 1
        for group in waiting.values():
            self._launch(group)
        while self._in_flight:
            self._collect(*self._in_flight.popleft())
        for position in sorted(self._rows):
            yield self._finished(position)

    def _patches(self, start: int, stop: int) -> Iterator[Patch | dict]:
        """Patches in order, a row with its problem for what cannot be read."""
        samples = enumerate(self.images.read(start, stop), start=start)
        ahead = max(2 * self.settings.threads, 4)
        for found in ordered_results(self.pool, self._cut, samples, ahead):
            if isinstance(found, list):
                yield from found
                continue
            row, error = found
            if self.settings.corrupt_images == "raise":
                raise error
            logger.warning("skipped: %s", error)
            yield {**row, "problem": str(error)}

    def _cut(self, item: tuple[int, Sample | SampleError]) -> list[Patch] | tuple[dict, SampleError]:
        """The patches of an image, or the place of its row and the error that says why there are none."""
        number, sample = item
        if isinstance(sample, SampleError):
            return _placement(f"unreadable:{number}", None, number, 0, 0, 0, 0), sample
        settings = self.settings
        try:
            network = input_settings(self.segmenter)
            cut = cut_patches(sample, number, settings.patch_size, settings.stride, settings.edges, network)
            return list(cut)
        except CorruptImageError as error:
            return _placement(sample["id"], sample["source"], number, 0, 0, 0, 0), error
        except ValueError as error:
            raise ValueError(f"{sample['id']} of {sample['source']}: {error}") from error

    def _launch(self, group: list[tuple[int, Patch]]) -> None:
        """Start a batch, then collect the one before: a GPU works on this one meanwhile."""
        pixels = np.stack([patch.pixels for _, patch in group])
        prediction = self.segmenter(pixels)
        valid = None
        if self.settings.nodata is not None:
            valid = torch.from_numpy((pixels != self.settings.nodata).any(axis=3)).to(prediction.logits.device)
        with torch.inference_mode():
            background = background_index(self.segmenter.labels, self.settings.background)
            statistics = patch_statistics(prediction.logits, background, valid)
        # The pixels themselves are no longer needed, and an image's patches would hold it in memory.
        group = [(position, _described(patch)) for position, patch in group]
        self._in_flight.append((group, statistics, prediction.features))
        if len(self._in_flight) > 1:
            self._collect(*self._in_flight.popleft())

    def _collect(self, group: list[tuple[int, dict]], statistics: PatchStatistics, features: torch.Tensor) -> None:
        on_host = {
            "entropy": statistics.entropy,
            "entropy_renormalised": statistics.entropy_renormalised,
            "entropy_with_background": statistics.entropy_with_background,
            "confidence": statistics.confidence,
            "class_counts": statistics.class_counts,
            "feature": features,
        }
        columns = {name: values.cpu().numpy() for name, values in on_host.items()}
        finite = (statistics.finite & torch.isfinite(features).all(dim=1)).tolist()
        valid_pixels = statistics.valid_pixels.tolist()
        classes = statistics.classes.to(torch.uint8).cpu().numpy() if self.settings.pseudo_masks else None
        for index, (position, row) in enumerate(group):
            problem = None if finite[index] else _NOT_FINITE
            problem = _NO_DATA if valid_pixels[index] == 0 else problem
            if problem == _NOT_FINITE and self.settings.corrupt_images == "raise":
                raise NonFiniteOutputError(f"the patch at row {row['top']}, column {row['left']} of {row['id']!r}")
            if problem is not None:
                logger.warning("%s is left out: %s", row["id"], problem)
                self._rows[position] = {**row, "problem": problem}
                continue
            row.update({name: values[index] for name, values in columns.items()})
            if classes is not None:
                row["pseudo_mask"] = self.pool.submit(_png, classes[index])
            self._rows[position] = row

    def _finished(self, position: int) -> dict:
        row = self._rows.pop(position)
        if isinstance(row.get("pseudo_mask"), Future):
            row["pseudo_mask"] = row["pseudo_mask"].result()
        counts = row.get("label_counts")
        if counts is not None:
            row["label_counts"] = counts[: len(self.segmenter.labels)]
        return row


def _described(patch: Patch) -> dict:
    """The columns of a row that need no model."""
    window, content = patch.window, patch.content
    return {
        **_placement(patch.id, patch.source, patch.image, window.left, window.top, window.width, window.height),
        "contrast": content.contrast,
        "coherence": content.coherence,
        "hash": content.hash,
        "label_counts": patch.label_counts,
    }


def _placement(name: str, source: str | None, image: int, *place: int) -> dict[str, object]:
    """The columns of a row that say where it comes from; `place` is left, top, width and height."""
    keys = ("id", "source", "image", "left", "top", "width", "height")
    return dict(zip(keys, (name, source, image, *place), strict=True))


def _png(classes: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(classes).save(buffer, format="PNG")
    return buffer.getvalue()
