"""Evaluation: how published numbers are obtained, on any number of processes, with a report."""

from .detection.protocol import DETECTION_PROTOCOLS, DetectionProtocol, choose_detection_protocol
from .run import EvaluationSettings, run_evaluation
from .segmentation.loop import LoopSettings
from .segmentation.protocol import PROTOCOLS, Protocol, choose_protocol

__all__ = [
    "DETECTION_PROTOCOLS",
    "DetectionProtocol",
    "EvaluationSettings",
    "LoopSettings",
    "PROTOCOLS",
    "Protocol",
    "choose_detection_protocol",
    "choose_protocol",
    "run_evaluation",
]
