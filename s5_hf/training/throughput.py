"""Images per second, and on a GPU the share of its peak that is used (MFU)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..semi_supervised.pseudo_labels import evaluating

# Dense bf16/fp16 tensor-core peak in FLOP/s, from the vendor's data sheets.
PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A10": 125e12,
    "V100": 125e12,
}


class Throughput:
    """Time per step, images per second, and MFU where the device's peak is known.

    Args:
        images_per_step: labelled and unlabelled images of all processes.
        flops_per_step: of one process, 0 if unknown.
        peak_flops: of one device, `None` if unknown.
    """

    def __init__(self, images_per_step: int, flops_per_step: float = 0.0, peak_flops: float | None = None) -> None:
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


def peak_flops(device: torch.device) -> float | None:
    """The device's 16-bit peak, `None` where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


@torch.no_grad()
def forward_flops(model: nn.Module, image_size: int, channels: int = 3) -> float:
    """FLOPs of the forward pass of one image, counted on the bare model in eval mode."""
    device = next(model.parameters()).device
    with evaluating(model), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, channels, image_size, image_size, device=device))
    return float(counter.get_total_flops())


def step_flops(forward: float, labelled: int, strong: int, weak: int) -> float:
    """FLOPs of a step: three forwards' worth for a trained image, one for a pseudo-labelled one."""
    return forward * (3 * (labelled + strong) + weak)
