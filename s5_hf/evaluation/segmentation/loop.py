"""The evaluation loop of segmentation: every image once, shared among any number of processes."""

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
import torch
from accelerate import Accelerator

from ...metrics import SegmentationCounts
from ...predictors.interfaces import SceneSegmenter
from ...predictors.normalization import input_settings
from ..data import EvaluationData, EvaluationImage, EvaluationImages
from ..loop import LoopSettings, image_groups
from .prediction import class_ids
from .prediction_files import open_prediction_folder, prediction_names, write_prediction
from .protocol import SegmentationProtocol

__all__ = ["count_segmentation"]


# `judge_detections` has the same arguments on purpose: `run_evaluation` calls both alike.
def count_segmentation(
    segmenter: SceneSegmenter,
    data: EvaluationData,
    protocol: SegmentationProtocol,
    accelerator: Accelerator,
    settings: LoopSettings | None = None,
    images: EvaluationImages | None = None,
) -> SegmentationCounts:
    """Predict all images and count their pixels.

    Batches are cut from the list of images before they are shared among the processes, so the same images meet in a
    forward pass with any number of processes, and the counts are identical. `images` are those of `data` in another
    form than as single images.

    Returns:
        The counts of all processes, the same in each; all 0 if no image has a mask.

    Raises:
        ValueError: if a mask has another size than its image or holds a value that is not a class, an image is not of
            8 bits, there are neither masks nor `class_maps`, or two class maps would have one name.
        NonFiniteOutputError: if the model's outputs are not finite; names the image and the window.
    """
    settings = settings or LoopSettings()
    images = EvaluationImages(data, input_settings(segmenter)) if images is None else images
    if settings.class_maps is None and images[0].mask is None:
        raise ValueError(
            f"the split {data.split!r} of {data.entry.name} has no masks to compare with: name a folder for the "
            "predicted class maps, or choose another split"
        )
    counts = SegmentationCounts(
        data.labels, data.ignore_index, data.left_out, settings.boundary, device=accelerator.device
    )
    names = {} if settings.class_maps is None else _names_by_id(data)
    maps = nullcontext() if settings.class_maps is None else open_prediction_folder(settings.class_maps, accelerator)
    with maps as folder:
        for group in image_groups(images, settings, accelerator):
            predicted = _predict(segmenter, group, protocol)
            for image, classes in zip(group, predicted, strict=True):
                if image.mask is not None:
                    counts.update(classes, image.mask)
                if folder is not None:
                    write_prediction(folder / names[image.name], classes.cpu().numpy())
    return counts.reduce(accelerator)


def _predict(
    segmenter: SceneSegmenter, group: Sequence[EvaluationImage], protocol: SegmentationProtocol
) -> torch.Tensor:
    """Class ids `(images, height, width)` of images of one size."""
    names = [image.name for image in group]
    return class_ids(segmenter, np.stack([image.pixels for image in group]), protocol, names)


def _names_by_id(data: EvaluationData) -> dict[str, str]:
    ids = [str(name) for name in data.samples["id"]]
    return dict(zip(ids, prediction_names(ids), strict=True))
