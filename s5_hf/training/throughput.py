"""Images per second, and on a GPU the share of its peak that is used (MFU)."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..semi_supervised.pseudo_labels import evaluating


@dataclass(frozen=True)
class StepWork:
    """What a step does.

    Attributes:
        images: labelled and unlabelled ones of all processes.
        flops: of one process, 0 if unknown.
    """

    images: float
    flops: float = 0.0


class Throughput:
    """Time per step, images per second, and MFU where the device's peak is known.

    Args:
        images_per_step: labelled and unlabelled images of all processes.
        flops_per_step: of one process, 0 if unknown.
        peak_flops: of one device, `None` if unknown.
        first_steps: steps at the beginning of the run that do other work.
        first_work: of each of these.
    """

    def __init__(
        self,
        images_per_step: float,
        flops_per_step: float = 0.0,
        peak_flops: float | None = None,
        first_steps: int = 0,
        first_work: StepWork | None = None,
    ) -> None:
        self.work, self.peak_flops = StepWork(images_per_step, flops_per_step), peak_flops
        self.first_steps, self.first_work = first_steps, first_work or self.work
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

    def measure(self, begin: int, end: int) -> dict[str, float]:
        """`seconds_per_step`, `images_per_second` and, where known, `mfu`, over the steps since the last call.

        Args:
            begin, end: steps of the run that were made at the last call, and now.
        """
        now = time.perf_counter()
        seconds, self.last = max(now - self.last, 1e-9), now
        work = self._work_between(begin, end)
        values = {"seconds_per_step": seconds / (end - begin), "images_per_second": work.images / seconds}
        if self.peak_flops and work.flops:
            values["mfu"] = work.flops / seconds / self.peak_flops
        return values

    def _work_between(self, begin: int, end: int) -> StepWork:
        first = max(0, min(end, self.first_steps) - begin)
        later = end - begin - first
        return StepWork(
            first * self.first_work.images + later * self.work.images,
            first * self.first_work.flops + later * self.work.flops,
        )


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


@torch.no_grad()
def forward_flops(run: Callable[[], object]) -> float:
    """FLOPs of one pass of a network that does not learn."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


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
