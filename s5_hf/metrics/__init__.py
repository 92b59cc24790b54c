"""Metrics: counts that add up over images and processes, scores from counts, and modules of `evaluate`."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "apls": ("CITY_SCALE_APLS", "SPACENET_APLS", "AplsCounts", "AplsSettings", "compare_paths"),
        "average_precision": ("PrecisionRecall",),
        "boundary": ("BoundaryCounts",),
        "caption_scores": ("bleu", "caption_scores_of", "cider_d", "meteor", "rouge_l"),
        "change_scores": ("change_f1", "change_iou", "class_change", "semantic_change_scores"),
        "confusion_matrix": ("ConfusionMatrix",),
        "oriented_average_precision": ("OrientedAveragePrecision",),
        "outlines": ("OutlineCounts", "compare_outlines"),
        "percent": ("in_percent",),
        "road_counts": ("FoundCounts", "junction_counts", "road_mask", "road_pixel_counts"),
        "road_graph_metrics": ("RoadGraphMetrics",),
        "reasoning_counts": ("ReasoningCounts",),
        "reasoning_metrics": ("PixelReasoningMetrics",),
        "segmentation_counts": ("SegmentationCounts",),
        "segmentation_metrics": ("SegmentationMetrics",),
        "topo": ("TopoCounts", "compare_walks"),
    },
)
