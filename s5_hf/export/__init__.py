"""Trained models as files that other programs run: ONNX, and programs of torch.export."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "detector_graph": ("BoxGraph", "ObjectGraph"),
        "exporter": ("FORMATS", "ExportReport", "export_model"),
        "metadata": ("ExportMetadata",),
    },
)
