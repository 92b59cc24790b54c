"""Objects by their names: boxes of a zero-shot detector of transformers, filled by a SAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel

from ..modeling.non_maximum_suppression import batched_horizontal_nms
from .interfaces import NamedObjects
from .masks import Masks
from .sam import SamPrompts

__all__ = ["TextDetector"]


class TextDetector:
    """Grounding DINO, MM-Grounding-DINO or OWLv2, and a SAM; see `ObjectFinder`.

    Args:
        detector: what `AutoModelForZeroShotObjectDetection` loads.
        processor: its processor, with tokenizer.
        sam: what `AutoModelForMaskGeneration` loads.
        classes: one string per class, its synonyms separated by commas.
        threshold: lowest score of a box.
        iou_threshold: of two boxes of a class that overlap more, the worse one is dropped.
        boxes_per_batch: given to the SAM at a time.

    Raises:
        ValueError: there are no classes.
    """

    def __init__(
        self,
        detector: PreTrainedModel,
        processor: Any,
        sam: PreTrainedModel,
        classes: Sequence[str],
        threshold: float = 0.1,
        iou_threshold: float = 0.7,
        boxes_per_batch: int = 16,
    ) -> None:
        if not classes:
            raise ValueError("name at least one class, such as 'building,house'")
        self._detector, self._processor, self._sam = detector.eval(), processor, sam.eval()
        self._names = [[name.strip() for name in text.split(",")] for text in classes]
        self.labels: Sequence[str] = ["background", *(names[0] for names in self._names)]
        self._threshold, self._iou_threshold, self._per_batch = threshold, iou_threshold, boxes_per_batch

    def find(self, image: np.ndarray) -> NamedObjects:
        """The objects in an image; see `ObjectFinder`."""
        boxes, scores, classes = self._boxes(image)
        kept = batched_horizontal_nms(boxes, scores, classes, self._iou_threshold)
        boxes, scores, classes = boxes[kept].numpy(), scores[kept].numpy(), classes[kept].numpy()
        parts, prompts = [Masks.none(*image.shape[:2])], None
        for start in range(0, len(boxes), self._per_batch):
            prompts = prompts or SamPrompts(self._sam, image)
            logits, _ = prompts.in_boxes(boxes[start : start + self._per_batch].astype(np.float64))
            planes = (logits[:, 0] > 0).cpu().numpy()
            parts.append(Masks.from_planes(planes, scores[start : start + self._per_batch]))
        return NamedObjects(Masks.joined(parts), classes)

    def _boxes(self, image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Corners in pixels `(boxes, 4)`, scores and classes of what is found.

        The detector is asked for one class at a time: what it finds then is of that class, whichever words it names.
        """
        found = [self._boxes_of(image, names) for names in self._names]
        classes = [torch.full((len(boxes),), index) for index, (boxes, _) in enumerate(found, start=1)]
        return torch.cat([boxes for boxes, _ in found]), torch.cat([scores for _, scores in found]), torch.cat(classes)

    @torch.inference_mode()
    def _boxes_of(self, image: np.ndarray, names: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        # Names have unlike numbers of tokens, which OWLv2 takes side by side.
        inputs = self._processor(images=Image.fromarray(image), text=[names], padding=True, return_tensors="pt")
        outputs = self._detector(**inputs.to(self._detector.device))
        found = self._processor.post_process_grounded_object_detection(
            outputs, threshold=self._threshold, target_sizes=[image.shape[:2]]
        )[0]
        return found["boxes"].cpu().double(), found["scores"].cpu()
