"""Evaluation: how published numbers are obtained, on any number of processes, with a report."""

from .protocol import PROTOCOLS, Protocol, choose_protocol
from .run import EvaluationSettings, run_evaluation
from .segmentation import LoopSettings

__all__ = [
    "EvaluationSettings",
    "LoopSettings",
    "PROTOCOLS",
    "Protocol",
    "choose_protocol",
    "run_evaluation",
]
