"""Masks by SAM, SAM 2 and SAM 3 of transformers.

Their image processors need torchvision, so images are prepared here.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from ..modeling.image_processing_s5 import IMAGENET_MEAN, IMAGENET_STD
from .everything_mode import EverythingSettings, everything
from .masks import Masks

__all__ = ["SamEverything", "SamPrompts"]

_KEEPS_PROPORTIONS = ("sam", "sam_hq")
"""The first SAM pads the shorter side; its successors stretch the image to a square."""


_OF_SAM3 = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Mean and deviation; SAM and SAM 2 have those of ImageNet."""


class SamPrompts:
    """An image that a SAM has seen, ready to be asked about points and boxes.

    Args:
        model: what `AutoModelForMaskGeneration` loads.
        image: uint8 RGB `(height, width, 3)`.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, image: np.ndarray) -> None:
        self._model = model
        self._height, self._width = image.shape[:2]
        side = model.config.prompt_encoder_config.image_size
        self._side = side if isinstance(side, int) else side[0]
        self._seen = self._seen_size(model.config.model_type)
        resized = Image.fromarray(image).resize((self._seen[1], self._seen[0]), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        normalization = _OF_SAM3 if model.config.model_type.startswith("sam3") else (IMAGENET_MEAN, IMAGENET_STD)
        mean, std = (torch.tensor(values)[:, None, None] for values in normalization)
        pixels = functional.pad((pixels - mean) / std, (0, self._side - self._seen[1], 0, self._side - self._seen[0]))
        self._embeddings = model.get_image_embeddings(pixels[None].to(model.device, model.dtype))

    def at_points(self, points: np.ndarray) -> tuple[Tensor, Tensor]:
        """Logits `(points, 3, height, width)` and guessed qualities `(points, 3)`; see `PromptPoints`."""
        prompts = torch.from_numpy(self._scaled(points, 1)).to(self._model.device, self._model.dtype)
        labels = torch.ones(1, len(points), 1, dtype=torch.int, device=self._model.device)
        return self._ask(input_points=prompts[None, :, None], input_labels=labels, multimask_output=True)

    def in_boxes(self, boxes: np.ndarray) -> tuple[Tensor, Tensor]:
        """The object in each box, `(boxes, 4)` in pixels: logits `(boxes, 1, height, width)`, and qualities."""
        prompts = torch.from_numpy(self._scaled(boxes, 2)).to(self._model.device, self._model.dtype)
        return self._ask(input_boxes=prompts[None], multimask_output=False)

    @torch.inference_mode()
    def _ask(self, **prompts: object) -> tuple[Tensor, Tensor]:
        output = self._model(image_embeddings=self._embeddings, **prompts)
        logits = output.pred_masks[0].float()
        logits = functional.interpolate(logits, (self._side, self._side), mode="bilinear")
        logits = logits[..., : self._seen[0], : self._seen[1]]
        if logits.shape[-2:] != (self._height, self._width):
            logits = functional.interpolate(logits, (self._height, self._width), mode="bilinear")
        return logits, output.iou_scores[0].float()

    def _scaled(self, corners: np.ndarray, repeats: int) -> np.ndarray:
        """Corners x, y of the image as those of what the network sees."""
        return corners * np.array([self._seen[1] / self._width, self._seen[0] / self._height] * repeats)

    def _seen_size(self, model_type: str) -> tuple[int, int]:
        """Height and width of the image within the square that the network sees."""
        if model_type not in _KEEPS_PROPORTIONS:
            return self._side, self._side
        scale = self._side / max(self._height, self._width)
        return int(self._height * scale + 0.5), int(self._width * scale + 0.5)


class SamEverything:
    """Everything that a SAM finds without being told where; see `MaskProposer`.

    Args:
        model: what `AutoModelForMaskGeneration` loads.
        settings: of the search.
    """

    def __init__(self, model: PreTrainedModel, settings: EverythingSettings | None = None) -> None:
        self.model, self.settings = model.eval(), settings or EverythingSettings()

    def propose(self, image: np.ndarray) -> Masks:
        """The masks of an image; see `MaskProposer`."""
        return everything(SamPrompts(self.model, image).at_points, *image.shape[:2], self.settings)
