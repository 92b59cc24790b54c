"""Images per second, and on a GPU the share of its peak that is used (MFU)."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..semi_supervised.pseudo_labels import evaluating


class Throughput:
    """Time per step, images per second, and MFU where the device's peak is known.

    Args:
        images_per_step: labelled and unlabelled images of all processes.
        flops_per_step: of one process, 0 if unknown.
        peak_flops: of one device, `None` if unknown.
    """

    def __init__(self, images_per_step: float, flops_per_step: float = 0.0, peak_flops: float | None = None) -> None:
        self.images_per_step, self.flops_per_step, self.peak_flops = images_per_step, flops_per_step, peak_flops
        self.last = time.perf_counter()

    def start(self) -> None:
        """Begin to measure."""
        self.last = time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside the block, such as validation and saving, does not count."""
        began = time.perf_counter()
        yield
        self.last += time.perf_counter() - began

    def measure(self, steps: int) -> dict[str, float]:
        """`seconds_per_step`, `images_per_second` and, where known, `mfu`, over the steps since the last call."""
        now = time.perf_counter()
        seconds, self.last = max(now - self.last, 1e-9) / steps, now
        values = {"seconds_per_step": seconds, "images_per_second": self.images_per_step / seconds}
        if self.peak_flops and self.flops_per_step:
            values["mfu"] = self.flops_per_step / seconds / self.peak_flops
        return values


@dataclass(frozen=True)
class PassFlops:
    """FLOPs of one image. Recomputed activations are not counted: they are no work of the model.

    Attributes:
        forward: of the forward pass.
        backward: of the gradients that a training needs: those of the weights that it trains, and those of the
            activations on the way to them.
    """

    forward: float
    backward: float

    def of_step(self, trained: float, labelled_by_network: float = 0.0) -> float:
        """FLOPs of a step.

        Args:
            trained: images with a forward and a backward pass.
            labelled_by_network: images with a forward pass alone.
        """
        return trained * (self.forward + self.backward) + labelled_by_network * self.forward


def count_flops(model: nn.Module, run: Callable[[], torch.Tensor]) -> PassFlops:
    """FLOPs of a pass, counted on the bare model in eval mode; weights, statistics and modes stay as they are.

    Args:
        model: whose trained parameters count.
        run: one pass for one image; gives a tensor with a gradient.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with evaluating(model), FlopCounterMode(display=False) as counter:
        output = run()
        forward = counter.get_total_flops()
        torch.autograd.grad(output.sum(), trained, allow_unused=True)
        return PassFlops(float(forward), float(counter.get_total_flops() - forward))


def segmenter_flops(model: nn.Module, shape: Sequence[int]) -> PassFlops:
    """FLOPs of one row of a segmenter of one task: an image `(channels, height, width)`, or a pair of them."""
    images = torch.zeros(1, *shape, device=next(model.parameters()).device)
    return count_flops(model, lambda: model(images).logits)


def detector_flops(model: nn.Module, task: str, image_size: int, channels: int) -> PassFlops:
    """FLOPs of one image with one object of a task.

    The head gets as many proposals as the configuration samples, which an image nearly always has. Sampling the maps
    is no product of matrices and is not counted.
    """
    device = next(model.parameters()).device
    images = torch.zeros(1, channels, image_size, image_size, device=device)
    box = torch.tensor([[image_size / 2, image_size / 2, image_size / 4, image_size / 8, 0.5]], device=device)
    labels = [{"boxes": box, "class_labels": torch.zeros(1, dtype=torch.int64, device=device)}]

    def run() -> torch.Tensor:
        model.training = True  # this module alone: nothing is predicted, and no layer changes its statistics
        return model(images, labels=labels, task=task).loss

    return count_flops(model, run)
