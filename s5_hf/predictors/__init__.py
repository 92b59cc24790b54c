"""From a model folder, an ONNX file or a model to probabilities or boxes for a batch of images."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "feature_segmenter": ("Segmenter",),
        "image_probabilities": ("NonFiniteOutputError",),
        "interfaces": ("Detections", "SceneDetector", "SceneSegmenter"),
        "onnx_detector": ("OnnxDetector",),
        "onnx_segmenter": ("OnnxSegmenter",),
        "torch_detector": ("TorchDetector", "load_detector"),
        "torch_segmenter": ("TorchSegmenter", "load_segmenters"),
    },
)
