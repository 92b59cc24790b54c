"""Any `AutoModelForSemanticSegmentation` as a function from uint8 patches to logits and image features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModelForSemanticSegmentation, PreTrainedModel

from ..modeling import S5ForSemanticSegmentation, SegEarthOVForSemanticSegmentation
from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from ..modeling.value_scaling import ValueScaling
from .named_classes import name_classes
from .normalization import channels_first, normalize_pixels
from .torch_network import load_network
from .torch_segmenter import TorchSegmenter, logits_at_size

__all__ = ["Prediction", "Segmenter", "background_index"]


@dataclass(frozen=True)
class Prediction:
    """What a segmenter says of a batch.

    Attributes:
        logits: float32 `(batch, classes, height, width)` at the size of the patches.
        features: float32 `(batch, channels)`, the mean-pooled last feature map of the backbone, of length 1.
    """

    logits: torch.Tensor
    features: torch.Tensor


class Segmenter(TorchSegmenter):
    """A [`TorchSegmenter`] that also gives features of its images.

    Features come from the last feature map of an S5 model's backbone, from the patches of all windows of an
    open-vocabulary model, in the common space of images and text, and from `hidden_states[-1]` of other models.

    Args:
        model, image_mean, image_std, task, precision, device, value_scaling, bands: as [`TorchSegmenter`] has them.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
        task: str | None = None,
        precision: str = "fp32",
        device: torch.device | str = "cpu",
        value_scaling: ValueScaling | None = None,
        bands: Sequence[int | str] | None = None,
    ) -> None:
        super().__init__(
            model, task, image_mean, image_std, device, precision, value_scaling=value_scaling, bands=bands
        )
        self.is_s5 = isinstance(model, S5ForSemanticSegmentation)
        self.labels = list(self.labels)

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        task: str | None = None,
        precision: str = "fp32",
        device: torch.device | str = "cpu",
        classes: Sequence[str] | None = None,
    ) -> Segmenter:
        """Load a model and its image processor from a folder, the Hub or a known name.

        Args:
            name: of the model.
            task, precision, device: as the class has them.
            classes: what an open-vocabulary model is to look for, as `load_segmenters` has them.

        Raises:
            OSError: if there is no such model or it has no image processor.
            ValueError: as the class, `load_network` and `name_classes`.
        """
        model, settings = load_network(name, AutoModelForSemanticSegmentation)
        name_classes(model, classes)
        return cls(model, task=task, precision=precision, device=device, **vars(settings))

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with the weights, the task or the normalisation."""
        return self.weights_fingerprint

    @torch.inference_mode()
    def __call__(self, patches: np.ndarray) -> Prediction:
        """Segment patches, uint8 `(batch, height, width, channels)`."""
        pixel_values = normalize_pixels(channels_first(patches), self)
        with self.arithmetic():
            logits, feature_map = self._with_features(pixel_values)
        features = functional.normalize(_pool(feature_map.float()), dim=1)
        return Prediction(logits_at_size(logits, pixel_values.shape[2:]), features)

    def feature_size(self, side: int) -> int:
        """Length of a feature; for models of other packages measured on a blank patch with that side."""
        if self.is_s5:
            return self.model.backbone.channels[-1]
        return self(np.zeros((1, side, side, len(self.image_mean)), dtype=np.uint8)).features.shape[1]

    def _with_features(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if isinstance(self.model, SegEarthOVForSemanticSegmentation):
            return self._with_patches(pixel_values)
        if not self.is_s5:
            outputs = self.model(pixel_values, output_hidden_states=True)
            return outputs.logits, outputs.hidden_states[-1]
        maps: list[torch.Tensor] = []
        hook = self.model.backbone.register_forward_hook(
            lambda module, inputs, outputs: maps.append(outputs.feature_maps[-1])
        )
        with hook:
            outputs = self.model(pixel_values)
        return outputs.logits, maps[0]

    def _with_patches(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of an open-vocabulary model, and the means `(batch, windows, embedding)` of the patches."""
        means: list[torch.Tensor] = []
        hook = self.model.clip.visual_projection.register_forward_hook(
            lambda module, inputs, tokens: means.append(tokens[:, 1:].mean(dim=1))
        )
        with hook:
            outputs = self.model(pixel_values)
        return outputs.logits, torch.cat(means).unflatten(0, (len(pixel_values), -1))


def background_index(labels: Sequence[str], background: str | int | None) -> int | None:
    """The class that entropy leaves out.

    Args:
        labels: class names of the model.
        background: a class name or id, `None` for no background, or `"auto"` for the class called "background" if
            there is one.

    Raises:
        ValueError: if there is no such class.
    """
    names = [label.lower() for label in labels]
    if background is None:
        return None
    if background == "auto":
        return names.index("background") if "background" in names else None
    if isinstance(background, str) and background.lower() in names:
        return names.index(background.lower())
    if isinstance(background, int) and 0 <= background < len(labels):
        return background
    raise ValueError(f"background {background!r} is none of the model's classes: {', '.join(labels)}")


def _pool(feature_map: torch.Tensor) -> torch.Tensor:
    """Mean of a map `(batch, channels, height, width)` or of tokens `(batch, tokens, channels)`."""
    return feature_map.mean(dim=(2, 3)) if feature_map.ndim == 4 else feature_map.mean(dim=1)
