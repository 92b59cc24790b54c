"""The evaluation loop of detection: every image once, shared among any number of processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object

from ...files.atomic import atomic_folder
from ...modeling.detection_post_processing import scale_boxes
from ...modeling.image_processing_s5 import resize_image
from ...predictors.interfaces import Detections, SceneDetector
from ...predictors.normalization import channels_first, input_settings, normalize_pixels
from ...scenes.detection.dota_results import write_task1_results
from ...scenes.detection.patch_merging import merge_patches
from ...scenes.detection.tile_detection import detect_objects, detect_with_flips
from ...scenes.source import ArrayScene
from ..data import EvaluationData, EvaluationImages, read_pixels
from ..loop import LoopSettings, image_groups
from .protocol import DetectionProtocol

if TYPE_CHECKING:
    from ...metrics import OrientedAveragePrecision

__all__ = ["has_objects", "judge_detections", "result_names"]


@dataclass(frozen=True)
class DetectionImage:
    """One decoded image.

    Attributes:
        name: id of the sample.
        pixels: uint8 `(height, width, channels)`.
        references: `boxes`, `labels` and `difficult` of its objects.
    """

    name: str
    pixels: np.ndarray
    references: dict[str, Any]


@dataclass(frozen=True)
class DetectionImages(EvaluationImages):
    """The samples of a dataset with their objects, decoded one by one; picklable for worker processes."""

    difficult_counted: bool

    def __getitem__(self, index: int) -> DetectionImage:
        sample = self.data.samples[index]
        objects = sample["objects"]
        references = {"boxes": objects["obb"], "labels": np.array(objects["category"], dtype=np.int64)}
        if not self.difficult_counted:
            references["difficult"] = np.array(objects["difficult"], dtype=bool)
        name = str(sample["id"])
        return DetectionImage(name, read_pixels(sample, name, self.network), references)


# A twin of `count_segmentation` in its arguments on purpose: `run_evaluation` calls both alike.
def judge_detections(
    detector: SceneDetector,
    data: EvaluationData,
    protocol: DetectionProtocol,
    accelerator: Accelerator,
    settings: LoopSettings | None = None,
) -> OrientedAveragePrecision:
    """Detect the objects of all images and compare them with those annotated.

    Batches are cut from the list of images before they are shared among the processes, so the same images meet in a
    forward pass with any number of processes. With `settings.detections` DOTA's Task 1 files are written there.

    Returns:
        The metric with the images of all processes, the same in each.

    Raises:
        FileExistsError: the folder for the result files is taken.
        ValueError: two samples have one id, or there are neither objects to compare with nor `detections`.
        NonFiniteOutputError: the outputs of the network are not finite; names the image and the window.
    """
    from ...metrics import OrientedAveragePrecision  # `evaluate` takes its time

    settings = settings or LoopSettings()
    ids = [str(name) for name in data.samples["id"]]
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ValueError(f"{len(repeated)} ids occur more than once in {data.entry.name}, such as {repeated[0]!r}")
    if settings.detections is None and not has_objects(data):
        raise ValueError(
            f"the split {data.split!r} of {data.entry.name} has no objects to compare with: name a folder for the "
            "result files (detections, --detections), or choose another split"
        )
    metric = OrientedAveragePrecision(labels=data.labels, official_recalls=protocol.official_recalls)
    images = DetectionImages(data, input_settings(detector), protocol.difficult_counted)
    kept: dict[str, Detections] = {}
    for group in image_groups(images, settings, accelerator):
        for image, found in zip(group, _detect(detector, group, protocol, settings.batch_size), strict=True):
            metric.add_image(image.name, found, image.references)
            if settings.detections is not None:
                kept[image.name] = found
    if accelerator.num_processes > 1:
        metric.merge(gather_object([metric.state()]))
    if settings.detections is not None:
        parts = gather_object([kept]) if accelerator.num_processes > 1 else [kept]
        if accelerator.is_main_process:
            everything = {name: found for part in parts for name, found in part.items()}
            _write_results(settings.detections, {name: everything[name] for name in ids}, data, protocol)
        accelerator.wait_for_everyone()
    return metric


def has_objects(data: EvaluationData) -> bool:
    """Whether any image has an annotated object (test splits are published without)."""
    return any(objects["category"] for objects in data.samples["objects"])


def result_names(ids: Sequence[str]) -> dict[str, str]:
    """Image names in DOTA's result files: the last part of the id, or whole ids where two samples share it.

    Raises:
        ValueError: a name holds a space, which parts the columns of the files.
    """
    names = {identifier: identifier.rpartition("/")[2] for identifier in ids}
    if len(set(names.values())) < len(names):
        names = {identifier: identifier for identifier in ids}
    for name in names.values():
        if not name or any(character.isspace() for character in name):
            raise ValueError(f"image name {name!r}: DOTA's result files need names without spaces")
    return names


def _detect(
    detector: SceneDetector, group: Sequence[DetectionImage], protocol: DetectionProtocol, batch_size: int
) -> list[Detections]:
    """The objects of images of one size, in pixels of the images."""
    tiles = protocol.tiles(batch_size)
    pixels = [_resized(image.pixels, protocol.resize) for image in group]
    if protocol.window is None:
        stacked = normalize_pixels(channels_first(np.stack(pixels)), detector)
        results = detect_with_flips(detector, stacked, tiles, lambda index: repr(group[index].name))
    else:
        scenes = [ArrayScene(array, image.name) for array, image in zip(pixels, group, strict=True)]
        results = [detect_objects(scene, detector, tiles) for scene in scenes]
    own, seen = group[0].pixels.shape, pixels[0].shape
    scale = (own[0] / seen[0], own[1] / seen[1])
    return [{**found, "boxes": scale_boxes(found["boxes"], scale)} for found in results]


def _resized(pixels: np.ndarray, longer_side: int | None) -> np.ndarray:
    if longer_side is None:
        return pixels
    height, width = pixels.shape[:2]
    factor = longer_side / max(height, width)
    size = {"height": max(1, round(height * factor)), "width": max(1, round(width * factor))}
    return resize_image(pixels, size, 2)  # Pillow's bilinear filter


def _write_results(
    folder: str | Path, found: dict[str, Detections], data: EvaluationData, protocol: DetectionProtocol
) -> None:
    names = result_names(list(found))
    merged = merge_patches(
        {names[identifier]: objects for identifier, objects in found.items()}, protocol.merge_iou_threshold
    )
    with atomic_folder(folder) as temporary:
        write_task1_results(temporary, merged, data.labels)
