"""Whether an exported detector finds what its model finds.

Which of two equally good proposals is the last one that is kept hangs on the last bit of a sum, and another runtime
adds in another order. So the two are compared as sets, and nearly all of their members must agree.
"""

from collections.abc import Callable

import numpy as np
import torch

from ..modeling import S5ForOrientedObjectDetection
from ..modeling.detection_post_processing import find_objects
from ..modeling.modeling_s5_detection import S5ObjectDetectionOutput
from ..modeling.oriented_boxes import oriented_boxes_to_horizontal
from .detector_graph import BoxGraph, ObjectGraph
from .metadata import NOTHING

Shape = tuple[int, int, int, int]
Runner = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

TOLERANCE = 1e-3
"""Numbers that differ by no more are equal: logits and scores, and sides of boxes in shares of the longer one."""

LEAST_COMMON = 0.95
"""The share of the boxes or objects that the file and the model must have in common."""

_IOU = 0.1
_LARGEST_SIDE = 512


def compare_detections(dense: S5ForOrientedObjectDetection, run: Runner, graph: BoxGraph) -> dict[Shape, float]:
    """The share of boxes or objects that are not in common, for each of several shapes.

    Args:
        dense: the model.
        run: the file.
        graph: what was written into it.

    Raises:
        RuntimeError: if it is too large, or the file gives NaN.
    """
    generator = np.random.default_rng(0)
    shares = {}
    for shape in _compared_shapes(dense, graph):
        pixel_values = generator.standard_normal(shape, dtype=np.float32)
        sizes = np.array([[shape[2] - 5 * row, shape[3] - 3] for row in range(shape[0])])
        with torch.inference_mode():
            outputs = dense(torch.from_numpy(pixel_values), image_sizes=sizes.tolist())
        inputs = {"pixel_values": pixel_values, "image_sizes": sizes}
        if isinstance(graph, ObjectGraph):
            pairs = _objects(outputs, run, inputs, graph.candidates)
        else:
            pairs = _boxes(outputs, run(inputs))
        common = min(_common_share(expected, found) for expected, found in pairs)
        if not common >= LEAST_COMMON:
            raise RuntimeError(
                f"the file does not find what the model finds: for the input {shape} they have {common:.1%} in "
                f"common, {LEAST_COMMON:.0%} are needed; the file was removed"
            )
        shares[shape] = 1 - common
    return shares


def _compared_shapes(dense: S5ForOrientedObjectDetection, graph: BoxGraph) -> list[Shape]:
    """A square image of the training's size or not much smaller, and a batch of small oblong ones."""
    vit, cell = dense.backbone.config, graph.cell
    full = max(3, min(vit.image_size, _LARGEST_SIDE) // cell)
    grids = [(1, full, full), (2, 3, 5)]
    return [(batch, vit.num_channels, rows * cell, columns * cell) for batch, rows, columns in grids]


def _boxes(outputs: S5ObjectDetectionOutput, found: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the model and of the file, for each image: logits and box of every proposal."""
    pairs = []
    for image, (logits, boxes) in enumerate(zip(outputs.logits, outputs.pred_boxes, strict=True)):
        exists = found["exists"][image]
        of_file = _rows(found["logits"][image][exists], found["boxes"][image][exists])
        pairs.append((_rows(logits.numpy(), boxes.numpy()), of_file))
    return pairs


def _objects(
    outputs: S5ObjectDetectionOutput, run: Runner, inputs: dict[str, np.ndarray], candidates: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of the model and of the file, for each image: score, label and box of every object.

    The threshold is so high that all candidates above it take part in the file.
    """
    scores = [logits.softmax(dim=1)[:, :-1].flatten().sort(descending=True).values for logits in outputs.logits]
    threshold = max(float(values[min(candidates, len(values)) * 9 // 10]) for values in scores if len(values))
    thresholds = {"score_threshold": np.array(threshold, np.float32), "iou_threshold": np.array(_IOU, np.float32)}
    found = run(inputs | thresholds)
    pairs = []
    for image, (logits, boxes) in enumerate(zip(outputs.logits, outputs.pred_boxes, strict=True)):
        expected = find_objects(logits, boxes, threshold, _IOU, candidates)
        values = np.column_stack([expected["scores"].numpy(), expected["labels"].numpy()])
        kept = found["scores"][image] > NOTHING
        of_file = np.column_stack([found["scores"][image][kept], found["labels"][image][kept]])
        pairs.append((_rows(values, expected["boxes"].numpy()), _rows(of_file, found["boxes"][image][kept])))
    return pairs


def _rows(values: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """What must agree `(n, k)`: some values, and the hull and the short side of each box in units of its long side."""
    boxes = boxes.astype(np.float64)
    longer = np.maximum(boxes[:, 2:4].max(axis=1, initial=1), 1)[:, None]
    hulls = oriented_boxes_to_horizontal(torch.from_numpy(boxes)).numpy()
    return np.column_stack([values, hulls / longer, boxes[:, 3:4] / longer])


def _common_share(expected: np.ndarray, found: np.ndarray) -> float:
    """The share of rows, of the set with the lower one, that have an equal row in the other set."""
    if not len(expected) or not len(found):
        return float(len(expected) == len(found))
    equal = (np.abs(expected[:, None] - found[None]) <= TOLERANCE).all(axis=2)
    return float(min(equal.any(axis=1).mean(), equal.any(axis=0).mean()))


__all__ = ["LEAST_COMMON", "TOLERANCE", "compare_detections"]
