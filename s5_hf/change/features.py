"""Features of images from any vision model of transformers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel

from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["ModelFeatures"]


class ModelFeatures:
    """What a vision model says of each patch of an image, after its last normalisation; see `FeatureExtractor`.

    Args:
        model: what `AutoModel` loads: DINO, DINOv2, DINOv3, an S5 ViT and others. Its `last_hidden_state` are tokens,
            those of the patches last, or maps.
        image_mean, image_std: of the image processor, on the scale 0..1.

    Raises:
        ValueError: the configuration names no patch size, and the model gives tokens.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        image_mean: Sequence[float] = IMAGENET_MEAN,
        image_std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        self.model = model.eval()
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (image_mean, image_std))
        patch = getattr(model.config, "patch_size", 1)
        self._patch = patch if isinstance(patch, int) else patch[0]
        # ViT and DINO take other sizes than those of their training only if they are told to.
        takes = inspect.signature(model.forward).parameters
        self._options = {"interpolate_pos_encoding": True} if "interpolate_pos_encoding" in takes else {}

    @torch.inference_mode()
    def features(self, image: np.ndarray) -> Tensor:
        """Features `(channels, rows, columns)`; see `FeatureExtractor`."""
        # The official code leaves out what does not fill a patch and stretches the rest over it: here the image is
        # brought to whole patches first.
        rows, columns = (max(1, round(side / self._patch)) for side in image.shape[:2])
        size = (columns * self._patch, rows * self._patch)
        resized = image if size == image.shape[1::-1] else np.array(Image.fromarray(image).resize(size))
        pixels = torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1).float() / 255
        pixels = ((pixels - self._mean) / self._std)[None].to(self.model.device, self.model.dtype)
        hidden = self.model(pixel_values=pixels, **self._options).last_hidden_state[0].float()
        if hidden.ndim == 3:
            return hidden
        missing = len(hidden) - rows * columns
        if missing < 0:
            raise ValueError(
                f"{type(self.model).__name__} gives {len(hidden)} tokens for {rows} x {columns} patches of "
                f"{self._patch} pixels: its patches cannot be told apart"
            )
        return hidden[missing:].T.reshape(-1, rows, columns)
