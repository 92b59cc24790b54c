"""Metrics: counts that add up over images and processes, scores from counts, and modules of `evaluate`."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "average_precision": ("PrecisionRecall",),
        "boundary": ("BoundaryCounts",),
        "caption_scores": ("bleu", "caption_scores_of", "cider_d", "meteor", "rouge_l"),
        "change_scores": ("change_f1", "change_iou", "class_change", "semantic_change_scores"),
        "confusion_matrix": ("ConfusionMatrix",),
        "oriented_average_precision": ("OrientedAveragePrecision",),
        "percent": ("in_percent",),
        "reasoning_counts": ("ReasoningCounts",),
        "reasoning_metrics": ("PixelReasoningMetrics",),
        "segmentation_counts": ("SegmentationCounts",),
        "segmentation_metrics": ("SegmentationMetrics",),
    },
)
