"""Counts for masks that answer questions: they add up over images and processes, and give gIoU, cIoU and P@t."""

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


class ReasoningCounts:
    """Of one mask per image and its prediction.

    Source: the official code of SegEarth-R1 (arXiv 2504.09644), which counts in the padded frame of the network; the
    frame adds background only. Where neither mask has a pixel the IoU is 1.

    Attributes:
        totals: float64 `(9,)`: images, sum of their IoUs, pixels of all intersections and of all unions, and the
            images whose IoU is above each of `THRESHOLDS`.
    """

    def __init__(self) -> None:
        self.totals = torch.zeros(4 + len(THRESHOLDS), dtype=torch.float64)

    def update(self, prediction: torch.Tensor | np.ndarray, reference: torch.Tensor | np.ndarray) -> float:
        """Count an image; returns its IoU.

        Args:
            prediction, reference: `(height, width)`, of one shape; bool, or 0 and 1.

        Raises:
            ValueError: for other shapes or values.
        """
        masks = [as_mask(values, name) for values, name in ((prediction, "prediction"), (reference, "reference"))]
        if masks[0].shape != masks[1].shape:
            raise ValueError(
                f"a prediction of {tuple(masks[0].shape)} pixels, its reference of {tuple(masks[1].shape)}"
            )
        predicted, true = masks
        intersection, union = (predicted & true).sum().item(), (predicted | true).sum().item()
        overlap = intersection / (union + 1e-5) if union else 1.0
        hits = [float(overlap > threshold) for threshold in THRESHOLDS]
        self.totals += torch.tensor([1.0, overlap, intersection, union, *hits], dtype=torch.float64)
        return overlap

    def reduce(self, accelerator: "Accelerator") -> "ReasoningCounts":
        """New counts, the sum over all processes, the same in each."""
        total = ReasoningCounts()
        gathered = accelerator.reduce(self.totals.to(accelerator.device), reduction="sum")
        total.totals = gathered.to(self.totals)
        return total

    def as_dict(self) -> dict[str, float]:
        """The counts by name."""
        names = ("images", "sum_of_ious", "intersection", "union", *(f"above_{one}" for one in THRESHOLDS))
        return dict(zip(names, self.totals.tolist(), strict=True))

    def reset(self) -> None:
        """Set all counts to 0."""
        self.totals.zero_()

    def scores(self) -> dict[str, float]:
        """`gIoU` (mean over images), `cIoU` (of all pixels) and `P@0.5` to `P@0.9`, in 0..1; NaN without images."""
        images, overlaps, intersection, union, *hits = self.totals.tolist()
        names = [f"P@{threshold}" for threshold in THRESHOLDS]
        if not images:
            return dict.fromkeys(("gIoU", "cIoU", *names), float("nan"))
        shares = {name: count / images for name, count in zip(names, hits, strict=True)}
        return {"gIoU": overlaps / images, "cIoU": intersection / (union + 1e-10), **shares}


def as_mask(values: torch.Tensor | np.ndarray, name: str) -> torch.Tensor:
    """A mask as bool `(height, width)`; raises a ValueError for something else."""
    mask = torch.as_tensor(values)
    if mask.ndim != 2:
        raise ValueError(f"{name} has the shape {tuple(mask.shape)}, expected (height, width)")
    if mask.dtype == torch.bool:
        return mask
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError(f"{name} holds other values than 0 and 1")
    return mask == 1
