"""Semi-supervised segmentation methods: FixMatch (the default), others by name, and the supervised baseline.

A new method is a dataclass that derives from [`Method`] and is decorated with [`register_method`].
"""

from .batches import LabelledBatch, UnlabelledBatch
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
    "DWL",
    "METHODS",
    "RSMTDF",
    "FixMatch",
    "LabelledBatch",
    "Method",
    "MethodOutput",
    "OpenVocabulary",
    "Supervised",
    "TaughtMethod",
    "UniMatchV2",
    "UnlabelledBatch",
    "WeightAverage",
    "make_method",
    "method_names",
    "register_method",
]
