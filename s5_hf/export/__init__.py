"""Trained segmenters as files that other programs run: ONNX, and programs of torch.export."""

from ..predictors.onnx_segmenter import OnnxSegmenter
from .exporter import FORMATS, ExportReport, export_model
from .metadata import ExportMetadata

__all__ = ["FORMATS", "ExportMetadata", "ExportReport", "OnnxSegmenter", "export_model"]
