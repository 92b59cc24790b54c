"""Part 1: what is there, and whether a GPU computes what a CPU in float64 does."""

import copy
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import accelerate
import torch
import transformers
from torch import nn

from gpu_parts.report import Check
from gpu_parts.steps import detection_labels, make_detector, make_segmenter
from s5_hf.modeling.non_maximum_suppression import rotated_nms
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.modeling.rotated_roi_align import roi_align_rotated
from s5_hf.modeling.segmentation_loss import masked_cross_entropy
from s5_hf.training.peaks import peak_flops

PRECISIONS = ("fp32", "tf32", "bf16")


def run(check: Check) -> None:
    """All measurements of the part."""
    check.measure("machine", lambda: machine(check.device))
    segmenter = make_segmenter(check, "ti" if check.smoke else "s", 64 if check.smoke else 256, classes=5).eval()
    exact = exact_outcome(segmenter)
    for precision in PRECISIONS:
        check.measure(f"segmenter {precision}", lambda name=precision: segmenter_parity(check, segmenter, name, exact))
    check.measure("boxes", lambda: box_parity(check))
    detector = make_detector(check, "ti", 64 if check.smoke else 512)
    exact_detector = exact_detector_outcome(detector)
    for precision in PRECISIONS:
        name = f"detector {precision}"
        check.measure(name, lambda name=precision: detector_parity(check, detector, name, exact_detector))
    check.measure("deterministic step", lambda: deterministic_step(check))


def machine(device: torch.device) -> dict[str, Any]:
    """Names, versions and memory."""
    found = {
        "device": device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
    }
    if device.type != "cuda":
        return found
    properties = torch.cuda.get_device_properties(device)
    driver = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version,power.limit,clocks.max.sm", "--format=csv,noheader"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return found | {
        "gpu": properties.name,
        "gpus": torch.cuda.device_count(),
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "peak_tflops": (peak_flops(device) or 0) / 1e12,
        "bf16": torch.cuda.is_bf16_supported(),
        "nvidia_smi": driver.stdout.strip(),
    }


Outcome = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def exact_outcome(segmenter: nn.Module) -> Outcome:
    """What float64 on the CPU gives."""
    images, labels = parity_batch(segmenter)
    return outcome(copy.deepcopy(segmenter).double(), images.double(), labels, nullcontext)


def parity_batch(segmenter: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images with labels."""
    side = segmenter.config.backbone_config.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, side, side, generator=generator)
    return images, torch.randint(0, 5, (2, side, side), generator=generator)


def segmenter_parity(check: Check, segmenter: nn.Module, precision: str, exact: Outcome) -> dict[str, Any]:
    """Logits, loss and gradients on the device against the exact ones, as shares of the largest value."""
    images, labels = (values.to(check.device) for values in parity_batch(segmenter))
    model = copy.deepcopy(segmenter).to(check.device)
    found = outcome(model, images, labels, lambda: in_precision(check, precision))
    return {
        "logits": difference(found[0], exact[0]),
        "loss": difference(found[1], exact[1]),
        "gradients": difference(found[2], exact[2]),
        "gradient_cosine": torch.cosine_similarity(found[2].double().cpu(), exact[2], dim=0).item(),
        "equal_pixels": (found[0].argmax(1).cpu() == exact[0].argmax(1)).float().mean().item(),
    }


@contextmanager
def in_precision(check: Check, precision: str) -> Iterator[None]:
    """The context of "fp32", "tf32" or "bf16"."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        with check.autocast(precision):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def outcome(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, context: Callable[[], Any]) -> Outcome:
    """Logits, loss, and all gradients in one row."""
    with context():
        logits = model(images).logits
    loss = masked_cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return logits.detach(), loss.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def difference(found: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest difference, over the largest exact value."""
    return ((found.double().cpu() - exact).abs().max() / exact.abs().max()).item()


def box_parity(check: Check) -> dict[str, Any]:
    """IoU, suppression and pooling of oriented boxes on the device against float64 on the CPU."""
    count = 200 if check.smoke else 2000
    generator = torch.Generator().manual_seed(1)
    boxes = torch.rand(count, 5, generator=generator) * torch.tensor([900.0, 900.0, 60.0, 20.0, 3.0]) + 1
    scores = torch.rand(count, generator=generator)
    features = torch.randn(1, 8, 64, 64, generator=generator)
    rois = torch.cat([torch.zeros(count, 1), boxes], dim=1)
    there, exact = boxes.to(check.device), boxes.double()
    kept = [rotated_nms(*values, 0.1).tolist() for values in ((exact, scores), (there, scores.to(check.device)))]
    pooled = roi_align_rotated(features.double(), rois.double(), spatial_scale=1 / 16)
    pooled_there = roi_align_rotated(features.to(check.device), rois.to(check.device), spatial_scale=1 / 16)
    return {
        "iou": difference(rotated_iou(there, there), rotated_iou(exact, exact)),
        "same_kept": kept[0] == kept[1],
        "roi_align": difference(pooled_there, pooled),
    }


@dataclass
class DetectorOutcome:
    """What a detector makes of an image.

    Attributes:
        losses: the four parts.
        gradients: in one row.
        scores: `(proposals,)`, the highest of the classes.
        boxes: `(proposals, 5)`.
    """

    losses: dict[str, float]
    gradients: torch.Tensor
    scores: torch.Tensor
    boxes: torch.Tensor


def exact_detector_outcome(model: nn.Module) -> DetectorOutcome:
    """What float64 on the CPU gives."""
    return detector_outcome(copy.deepcopy(model).double(), torch.device("cpu"), torch.float64, nullcontext)


def detector_outcome(
    model: nn.Module, device: torch.device, dtype: torch.dtype, context: Callable[[], Any]
) -> DetectorOutcome:
    """Losses, gradients and boxes of one image with five objects, with the same draws everywhere."""
    model = model.to(device).eval()
    side = model.config.backbone_config.image_size
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2)).to(device, dtype)
    with torch.no_grad(), context():
        predicted = model(images, task="first")
    model.training = True  # losses alone; every layer as in evaluation
    with context():
        sampling = torch.Generator().manual_seed(3)
        output = model(images, labels=detection_labels(1, side, 5), task="first", generator=sampling)
    variables = [value for value in model.parameters() if value.requires_grad]
    gradients = torch.autograd.grad(output.loss, variables, allow_unused=True)
    return DetectorOutcome(
        losses={name: value.item() for name, value in output.loss_parts["first"].items()},
        gradients=torch.cat([gradient.flatten().double().cpu() for gradient in gradients if gradient is not None]),
        scores=predicted.logits[0].double().softmax(dim=1)[:, :-1].amax(dim=1).cpu(),
        boxes=predicted.pred_boxes[0].double().cpu(),
    )


def detector_parity(check: Check, model: nn.Module, precision: str, exact: DetectorOutcome) -> dict[str, Any]:
    """Losses, gradients and boxes on the device; `boxes_found` is the share of the best exact ones among them."""
    found = detector_outcome(copy.deepcopy(model), check.device, torch.float32, lambda: in_precision(check, precision))
    best = exact.boxes[exact.scores.argsort(descending=True)[:200]]
    return {
        "losses": found.losses,
        "exact_losses": exact.losses,
        "gradient_cosine": torch.cosine_similarity(found.gradients, exact.gradients, dim=0).item(),
        "boxes_found": (rotated_iou(best, found.boxes).amax(dim=1) > 0.9).double().mean().item(),
    }


def deterministic_step(check: Check) -> dict[str, Any]:
    """Whether two equal steps in deterministic mode give equal gradients."""
    side = 64 if check.smoke else 256
    model = make_segmenter(check, "ti", side, classes=5).to(check.device).eval()
    images = torch.randn(2, 3, side + 32, side, generator=torch.Generator().manual_seed(0)).to(check.device)
    labels = torch.zeros(2, side + 32, side, dtype=torch.int64, device=check.device)
    torch.use_deterministic_algorithms(True)
    try:
        first, second = (outcome(model, images, labels, lambda: check.autocast("bf16"))[2] for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(False)
    return {"same_bits": torch.equal(first, second)}
