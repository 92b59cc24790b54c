"""A batch of images to class probabilities: the one way for scenes, evaluation and curation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from .interfaces import SceneSegmenter
from .normalization import normalize_pixels
from .test_time_augmentation import predict_probabilities

__all__ = ["NonFiniteOutputError", "finite_images", "image_probabilities", "require_finite"]


class NonFiniteOutputError(RuntimeError):
    """A network gave NaN or infinity.

    Args:
        place: the image or the window.
        index: of the image in its batch.
    """

    def __init__(self, place: str, index: int = 0) -> None:
        super().__init__(
            f"the model's outputs for {place} are not finite (NaN or infinity); the weights may be broken, or the "
            "precision too low (--precision fp32)"
        )
        self.index = index


@torch.inference_mode()
def image_probabilities(
    segmenter: SceneSegmenter,
    pixels: torch.Tensor,
    flips: Sequence[str] = ("none",),
    scales: Sequence[float] = (1.0,),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Class probabilities of images, averaged over views.

    Args:
        segmenter: the network.
        pixels: uint8 `(batch, channels, height, width)`.
        flips, scales: the views, as `predict_probabilities` takes them.

    Returns:
        float32 `(batch, classes, height, width)`, and bool `(batch,)`: whether all logits of an image, in every
        view, are finite. Both on the segmenter's device; see `require_finite`.

    Raises:
        ValueError: the segmenter gives another number of classes than it says it has.
    """
    finite = torch.ones(len(pixels), dtype=torch.bool, device=segmenter.device)

    def predict(pixel_values: torch.Tensor) -> torch.Tensor:
        logits = segmenter.predict(pixel_values)
        if logits.shape[1] != segmenter.num_labels:
            raise ValueError(f"the segmenter gave {logits.shape[1]} classes, it has {segmenter.num_labels}")
        finite.logical_and_(finite_images(logits))
        return logits.softmax(dim=1)

    probabilities = predict_probabilities(predict, normalize_pixels(pixels, segmenter), flips, scales)
    return probabilities, finite


def finite_images(values: torch.Tensor) -> torch.Tensor:
    """Whether all values `(batch, ...)` of each image are finite, bool `(batch,)`."""
    values = values.flatten(1)
    # NaN passes through both; a tenth of the time that asking every value takes.
    return values.amax(dim=1).isfinite() & values.amin(dim=1).isfinite()


def require_finite(finite: torch.Tensor, place: Callable[[int], str]) -> None:
    """Raise a `NonFiniteOutputError` for the first image of a batch whose outputs are not finite.

    Args:
        finite: bool `(batch,)`.
        place: names the image, by its index in the batch.
    """
    wrong = (~finite).nonzero().flatten().tolist()
    if wrong:
        raise NonFiniteOutputError(place(wrong[0]), wrong[0])
