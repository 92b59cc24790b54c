"""Segmenters whose logits are logarithms of probabilities, which need not add up to 1."""

from transformers import PreTrainedModel

from ..modeling import SegEarthOVForSemanticSegmentation
from .interfaces import SceneSegmenter

__all__ = ["gives_log_probabilities"]


def gives_log_probabilities(segmenter: SceneSegmenter) -> bool:
    """Whether the logits of a segmenter are logarithms of class probabilities: those of open-vocabulary models are."""
    model: PreTrainedModel | None = getattr(segmenter, "model", None)
    return isinstance(model, SegEarthOVForSemanticSegmentation)
