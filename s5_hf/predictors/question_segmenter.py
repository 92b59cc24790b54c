"""A network that answers questions with masks, as a segmenter of scenes: its two classes are elsewhere and answer."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoProcessor

from ..conversion.model_check import require_finite_weights
from ..hub.model_folder import require_model_folder
from ..modeling import SegEarthR1Config, SegEarthR1ForPixelReasoning, SegEarthR1Processor
from ..modeling.processing_segearth_r1 import fitted_size
from .devices import default_device, usable_device
from .processor_kernels import processor_kernels

__all__ = ["ELSEWHERE", "QuestionSegmenter", "load_parts", "load_reasoner"]

ELSEWHERE, ANSWER = 0, 1
LABELS = ("elsewhere", "answer")
NOWHERE = -30.0
"""Logit of the answer where nobody looked."""


class QuestionSegmenter:
    """One question about images of any size; see `SceneSegmenter`.

    Its last channel says where to look: a window that has none of it is left out, and what lies outside is not part
    of the answer. The other channels are the image.

    Args:
        model: with its weights; is moved to the device and put into eval mode.
        processor: of the model.
        question: in words.
        kind: of the prompt, `reasoning` or `referring`.
        device: where it runs; the first GPU by default.

    Raises:
        ValueError: for an empty question, or one with too many tokens for the language model.
    """

    num_labels = len(LABELS)
    id2label: ClassVar[dict[int, str]] = dict(enumerate(LABELS))

    def __init__(
        self,
        model: SegEarthR1ForPixelReasoning,
        processor: SegEarthR1Processor,
        question: str,
        kind: str = "reasoning",
        device: str | torch.device | None = None,
    ) -> None:
        self.device = usable_device(default_device() if device is None else device)
        self.model, self.processor = model.eval().to(self.device), processor
        images = processor.image_processor
        self.side, self.bands, self.value_scaling = images.side, images.bands, None
        self._of_images = (torch.tensor(images.image_mean), torch.tensor(images.image_std))
        self.image_mean, self.image_std = (*images.image_mean, 0.0), (*images.image_std, 1.0)
        prompt = processor.encode_prompts([question], kind=kind).as_inputs()
        del prompt["labels"]
        self._prompt = {name: tensor.to(self.device) for name, tensor in prompt.items()}
        longest = getattr(model.config.language_config, "max_position_embeddings", None)
        tokens = self._prompt["input_ids"].shape[1]
        if longest is not None and tokens > longest:
            raise ValueError(f"the question makes a prompt of {tokens} tokens, the language model takes {longest}")
        self.question, self.kind = question, kind

    @property
    def unknown_words(self) -> list[str]:
        """Words of the question that the tokenizer has no number for, each once."""
        tokenizer = self.processor.tokenizer
        if tokenizer.unk_token_id in (None, tokenizer.eos_token_id):
            return []
        words = dict.fromkeys(re.findall(r"\w+", self.question))
        return [word for word in words if tokenizer.unk_token_id in tokenizer(word)["input_ids"]]

    @property
    def fingerprint(self) -> str:
        """Of the weights, and of what is asked."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        digest.update(json.dumps([self.question, self.kind, self.side, *self.image_mean, *self.image_std]).encode())
        return digest.hexdigest()

    @torch.inference_mode()
    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits `(batch, 2, height, width)`; see `SceneSegmenter`."""
        images, places = pixel_values[:, :-1], pixel_values[:, -1] > 0.5
        logits = torch.full_like(pixel_values[:, -1], NOWHERE)
        for row in torch.nonzero(places.flatten(1).any(dim=1)).flatten().tolist():  # one by one: prompts are long
            logits[row] = self.answer(images[row]).where(places[row], NOWHERE)
        return torch.stack([torch.zeros_like(logits), logits], dim=1)

    @torch.inference_mode()
    def look_at(self, picture: np.ndarray) -> np.ndarray:
        """The probability of the answer, float32 `(height, width)`, in a picture uint8 `(height, width, channels)`."""
        mean, std = self._of_images
        image = (torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255 - mean[:, None, None]) / std[
            :, None, None
        ]
        return self.answer(image.to(self.device)).sigmoid().cpu().numpy()

    def answer(self, image: torch.Tensor) -> torch.Tensor:
        """Logits `(height, width)` of a normalised image `(channels, height, width)`, seen as a whole."""
        height, width = image.shape[1:]
        inner = fitted_size((height, width), self.side)
        resized = functional.interpolate(image[None], size=inner, mode="bilinear", align_corners=False)
        mean, std = (values.to(image) for values in self._of_images)
        frame = (-mean / std)[None, :, None, None].expand(1, -1, self.side, self.side).clone()  # black
        rows, columns = self.processor.image_processor.place((height, width))
        frame[:, :, rows, columns] = resized
        with processor_kernels(self.device):
            output = self.model(pixel_values=frame, **self._prompt)
        (logits,) = self.processor.image_processor.post_process_logits(output, [(height, width)])
        return logits


def load_parts(name: str) -> tuple[SegEarthR1ForPixelReasoning, SegEarthR1Processor]:
    """The network and the processor of a model folder or a repository of the Hub.

    Raises:
        OSError: there is no such model, or it has no tokenizer.
        ValueError: it answers no questions, or its weights are not finite.
    """
    require_model_folder(name)
    config = AutoConfig.from_pretrained(name)
    if not isinstance(config, SegEarthR1Config):
        raise ValueError(
            f"{name} is a {config.model_type!r} model, which answers no questions; expected a SegEarth-R1, such as "
            "`s5-hf train reasoning` makes"
        )
    processor = AutoProcessor.from_pretrained(name)
    if not isinstance(processor, SegEarthR1Processor):
        raise OSError(f"{name} has no tokenizer: put tokenizer.json, and what belongs to it, beside the weights")
    network = AutoModel.from_pretrained(name)
    require_finite_weights(network, name)
    return network, processor


def load_reasoner(
    model: str | Path, question: str, kind: str = "reasoning", device: str | torch.device | None = None
) -> QuestionSegmenter:
    """A model folder or a repository of the Hub, and a question.

    Raises:
        OSError: there is no such model, or it has no tokenizer.
        ValueError: it answers no questions, or as `QuestionSegmenter`.
    """
    return QuestionSegmenter(*load_parts(str(model)), question, kind, device)
