"""Evaluation: how published numbers are obtained, on any number of processes, with a report."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "accuracy.report": ("AccuracyResult",),
        "accuracy.run": ("ReferenceSettings", "assess_accuracy"),
        "accuracy.sampling": ("PointSample", "sample_points"),
        "detection.protocol": ("DETECTION_PROTOCOLS", "DetectionProtocol", "choose_detection_protocol"),
        "loop": ("LoopSettings",),
        "report": ("EvaluationResults",),
        "run": ("run_evaluation",),
        "settings": ("EvaluationSettings",),
        "segmentation.protocol": ("PROTOCOLS", "SegmentationProtocol", "choose_protocol"),
    },
)
