"""Kinds of pipelines that transformers does not have."""

__all__ = ["IMAGE_TEXT_TO_MASK", "ORIENTED_DETECTION"]

ORIENTED_DETECTION = "oriented-object-detection"
IMAGE_TEXT_TO_MASK = "image-text-to-mask"
