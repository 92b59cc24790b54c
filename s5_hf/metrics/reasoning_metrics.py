"""Scores of masks that answer questions, as a module of `evaluate`. It needs no network.

from s5_hf.metrics import PixelReasoningMetrics
metrics = PixelReasoningMetrics()

# or, as any other module, by the path of this file
metrics = evaluate.load("s5_hf/metrics/reasoning_metrics.py")
"""

from typing import Any

import evaluate
from datasets import Features, Sequence, Value

from s5_hf.metrics.counting_metric import CountingMetric
from s5_hf.metrics.reasoning_counts import ReasoningCounts

DESCRIPTION = """\
gIoU, cIoU and the share of images with an IoU above 0.5 to 0.9, of one mask per image. Pixels are counted as they come
in, so images may differ in size and none is kept.
"""

INPUTS = """
Args:
    predictions: one mask (height, width) per image: arrays, tensors or lists, bool or 0 and 1.
    references: the same of the true masks.
    accelerator: to sum over the processes of an `Accelerator`; every process then returns the same scores.

Returns:
    gIoU, cIoU and P@0.5 to P@0.9, in 0..1.
"""

CITATION = """\
@article{li2025segearthr1,
  title={{SegEarth-R1}: Geospatial Pixel Reasoning via Large Language Model},
  author={Li, Kaiyu and others},
  journal={arXiv preprint arXiv:2504.09644},
  year={2025}
}
"""


class PixelReasoningMetrics(CountingMetric):
    """`evaluate` module over [`ReasoningCounts`].

    Args:
        **options: those of every module of `evaluate`.

    Raises:
        ValueError: if `num_process` is given.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(ReasoningCounts(), **options)

    # As in `SegmentationMetrics`: `evaluate` asks each of its modules for a description of its own.
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=Features({name: Sequence(Sequence(Value("int32"))) for name in ("predictions", "references")}),
        )
