"""Semi-supervised methods by name: of segmentation, FixMatch first, and of oriented detection.

A new method is a dataclass that derives from [`Method`] and is decorated with [`register_method`]; one of detection
derives from [`DetectionMethod`] and is decorated with [`register_detection_method`].
"""

from .agreeing_views import AgreeingViews
from .batches import LabelledBatch, UnlabelledBatch
from .detection_method import (
    DETECTION_METHODS,
    DetectionMethod,
    UnlabelledObjects,
    make_detection_method,
    register_detection_method,
)
from .dwl import DWL
from .fixmatch import FixMatch
from .method import METHODS, Method, MethodOutput, make_method, method_names, register_method
from .open_vocabulary import OpenVocabulary
from .rs_mtdf import RSMTDF
from .supervised import Supervised
from .teacher import TaughtMethod
from .unimatch_v2 import UniMatchV2
from .weight_average import WeightAverage

__all__ = [
    "DETECTION_METHODS",
    "DWL",
    "METHODS",
    "RSMTDF",
    "AgreeingViews",
    "DetectionMethod",
    "FixMatch",
    "LabelledBatch",
    "Method",
    "MethodOutput",
    "OpenVocabulary",
    "Supervised",
    "TaughtMethod",
    "UniMatchV2",
    "UnlabelledBatch",
    "UnlabelledObjects",
    "WeightAverage",
    "make_detection_method",
    "make_method",
    "method_names",
    "register_detection_method",
    "register_method",
]
