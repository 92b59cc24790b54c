"""A picture of a scene with the objects found, reduced where the scene is big."""

import numpy as np
from PIL import Image
from torch import Tensor

from ...imaging.drawing import add_legend, draw_oriented_boxes
from ...imaging.palettes import default_palette
from ..reduction import MAX_OVERLAY_SIDE, reduce_scene, reduction_factor
from ..source import SceneSource
from .scene_detections import SceneDetections

__all__ = ["draw_detections"]


def draw_detections(found: SceneDetections, scene: SceneSource) -> Image.Image:
    """The scene, read once more from top to bottom, with at most `MAX_OVERLAY_SIDE` pixels a side, and the boxes.

    The legend has the classes that were found and their numbers.
    """
    factor = reduction_factor(scene.width, scene.height, MAX_OVERLAY_SIDE)
    picture = Image.fromarray(reduce_scene(scene, factor))
    boxes: Tensor = found.boxes / found.boxes.new_tensor([factor] * 4 + [1])
    palette = default_palette(len(found.class_names))
    # The best last, so that it lies on top.
    drawn = draw_oriented_boxes(picture, boxes.flip(0).numpy(), found.labels.flip(0).numpy(), palette)
    present = np.unique(found.labels.numpy()).tolist()
    if not present:
        return add_legend(drawn, ["nothing found"], [(255, 255, 255)])
    counts = found.counts()
    names = [f"{found.class_names[label]} ({counts[found.class_names[label]]:,})" for label in present]
    return add_legend(drawn, names, [palette[label] for label in present])
