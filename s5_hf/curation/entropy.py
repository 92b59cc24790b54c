"""Entropy of a prediction: the reliability score of curation (S5, section "Pre-training Dataset Curation").

    E(x) = -(1 / HW) * sum_i sum_k P_k(x_i) log P_k(x_i)

P is the softmax over all classes; the sum leaves background out. Low entropy means that pseudo-labels are reliable.
"""

from dataclasses import dataclass

import torch

__all__ = ["PatchStatistics", "patch_statistics"]


@dataclass(frozen=True)
class PatchStatistics:
    """What curation keeps of a batch of predictions. Entropies are in nats, means are over the valid pixels.

    Attributes:
        entropy: float64 `(batch,)`, background's term left out of the sum. 0 where all is surely background.
        entropy_renormalised: float64 `(batch,)`, of the softmax over the other classes alone.
        entropy_with_background: float64 `(batch,)`, over all classes.
        confidence: float64 `(batch,)`, mean of the largest probability.
        class_counts: int64 `(batch, classes)`, valid pixels by predicted class.
        classes: int64 `(batch, height, width)`, predicted class ids of all pixels.
        finite: bool `(batch,)`, whether all logits of valid pixels are finite. The other values mean nothing if not.
        valid_pixels: int64 `(batch,)`. Means are NaN where it is 0.
    """

    entropy: torch.Tensor
    entropy_renormalised: torch.Tensor
    entropy_with_background: torch.Tensor
    confidence: torch.Tensor
    class_counts: torch.Tensor
    classes: torch.Tensor
    finite: torch.Tensor
    valid_pixels: torch.Tensor


def patch_statistics(
    logits: torch.Tensor, background: int | None = None, valid: torch.Tensor | None = None
) -> PatchStatistics:
    """Entropy, confidence and class counts of predictions.

    Args:
        logits: `(batch, classes, height, width)`; half precision is computed in float32.
        background: class id that entropy leaves out; `None` if there is none (then the three entropies are equal).
        valid: bool `(batch, height, width)`, False for ignored and padded pixels; all are valid if left out.

    Raises:
        ValueError: for a wrong shape, or a background that is not one of several classes.
    """
    if logits.ndim != 4 or 0 in logits.shape:
        raise ValueError(f"logits must have the shape (batch, classes, height, width), got {tuple(logits.shape)}")
    batch_size, num_classes = logits.shape[:2]
    if background is not None and not (0 <= background < num_classes and num_classes > 1):
        raise ValueError(f"background must be one of several classes 0..{num_classes - 1}, got {background}")
    if valid is None:
        valid = torch.ones_like(logits[:, 0], dtype=torch.bool)
    if valid.shape != logits[:, 0].shape or valid.dtype != torch.bool:
        raise ValueError(
            f"valid must be bool of the shape {tuple(logits[:, 0].shape)}, got {valid.dtype} {tuple(valid.shape)}"
        )
    logits = logits.double() if logits.dtype == torch.float64 else logits.float()
    valid_pixels = valid.flatten(1).sum(dim=1)

    def mean(values: torch.Tensor) -> torch.Tensor:
        # Summed in double precision: a million float32 terms would lose the digits that ranks are made of.
        return torch.where(valid, values, 0).flatten(1).sum(dim=1, dtype=torch.float64) / valid_pixels

    log_probabilities = logits.log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    confidence, classes = probabilities.max(dim=1)
    # In place from here on: large batches of many classes are gigabytes.
    terms = probabilities.mul_(log_probabilities).neg_()
    pixel_entropy = terms.sum(dim=1)
    # A logit that is NaN or infinite makes its pixel's entropy NaN.
    finite = (torch.isfinite(pixel_entropy) | ~valid).flatten(1).all(dim=1)
    with_background = mean(pixel_entropy)
    if background is None:
        entropy = renormalised = with_background
    else:
        entropy = mean(pixel_entropy - terms[:, background])
        # The softmax of the other logits, not P / (1 - P_background), which is 0 / 0 where background is sure.
        others = torch.cat([logits[:, :background], logits[:, background + 1 :]], dim=1).log_softmax(dim=1)
        renormalised = mean(others.exp().mul_(others).sum(dim=1).neg_())

    counted = torch.where(valid, classes, num_classes).flatten(1)  # one more bin, for pixels that do not count
    counts = torch.zeros(batch_size, num_classes + 1, dtype=torch.int64, device=logits.device)
    counts.scatter_add_(1, counted, torch.ones_like(counted))
    return PatchStatistics(
        entropy=entropy,
        entropy_renormalised=renormalised,
        entropy_with_background=with_background,
        confidence=mean(confidence),
        class_counts=counts[:, :num_classes],
        classes=classes,
        finite=finite,
        valid_pixels=valid_pixels,
    )
