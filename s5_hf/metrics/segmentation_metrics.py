"""Segmentation metrics as a module of `evaluate`. It needs no network.

from s5_hf.metrics import SegmentationMetrics
metrics = SegmentationMetrics(labels=["land", "building", "road"])

# or, as any other module, by the path of this file
metrics = evaluate.load("s5_hf/metrics/segmentation_metrics.py", labels=["land", "building", "road"])
"""

from typing import Any

import evaluate
from datasets import Features, Sequence, Value

from s5_hf.dataset_builders.registry import get_entry
from s5_hf.metrics.counting_metric import CountingMetric
from s5_hf.metrics.segmentation_counts import SegmentationCounts

DESCRIPTION = """\
mIoU, mF1, mAcc, OA, a table per class, the confusion matrix and, if wanted, Boundary IoU of semantic segmentation.
Pixels are counted as they come in, so images may differ in size and none is kept.
"""

INPUTS = """
Args:
    predictions: one map of class ids (height, width) per image: arrays, tensors or lists, integers in 0..C-1.
    references: the same of the true classes, in 0..C-1 or the ignore index.
    accelerator: to sum over the processes of an `Accelerator`; every process then returns the same scores.

Returns:
    mIoU, mF1, mAcc, OA, boundary_mIoU (if asked for), per_class, left_out and confusion_matrix; scores in 0..1.
"""

CITATION = """\
@inproceedings{cheng2021boundary,
  title={Boundary {IoU}: Improving Object-Centric Image Segmentation Evaluation},
  author={Cheng, Bowen and Girshick, Ross and Doll{\\'a}r, Piotr and Berg, Alexander C. and Kirillov, Alexander},
  booktitle={CVPR},
  year={2021}
}
"""


class SegmentationMetrics(CountingMetric):
    """`evaluate` module over [`SegmentationCounts`].

    Args:
        labels: class names in the order of their ids.
        ignore_index: reference value without a class; `None` for none.
        left_out: names of classes that means leave out, such as iSAID's background. They still compete for pixels.
        boundary: whether to add Boundary IoU.
        **options: those of every module of `evaluate`.

    Raises:
        ValueError: if `left_out` or `ignore_index` does not fit the labels, or `num_process` is given.
    """

    def __init__(
        self,
        labels: tuple[str, ...] | list[str],
        ignore_index: int | None = 255,
        left_out: tuple[str, ...] | list[str] = (),
        boundary: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(SegmentationCounts(labels, ignore_index, left_out, boundary), **options)

    @classmethod
    def for_dataset(cls, name: str, boundary: bool = False, **options: Any) -> "SegmentationMetrics":
        """With the classes, the ignore index and the left-out classes of a dataset of the registry.

        Raises:
            KeyError: for an unknown dataset.
            ValueError: if it has no classes of its own, or is not for segmentation.
        """
        entry = get_entry(name)
        if entry.task != "segmentation" or not entry.labels:
            raise ValueError(f"{name} has no masks of known classes: give labels to SegmentationMetrics instead")
        return cls(entry.labels, entry.ignore_index, entry.evaluation.excluded_classes, boundary, **options)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({name: Sequence(Sequence(Value("int32"))) for name in ("predictions", "references")}),
        )
