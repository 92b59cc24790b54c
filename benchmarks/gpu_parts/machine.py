"""Part 1: what is there, and whether a GPU computes what a CPU in float64 does."""

import copy
import platform
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
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
    check.measure("detector", lambda: detector_parity(check))
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
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    model = copy.deepcopy(segmenter).to(check.device)
    found = outcome(model, images, labels, lambda: check.autocast(precision))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return {
        "logits": difference(found[0], exact[0]),
        "loss": difference(found[1], exact[1]),
        "gradients": difference(found[2], exact[2]),
        "gradient_cosine": torch.cosine_similarity(found[2].double().cpu(), exact[2], dim=0).item(),
        "equal_pixels": (found[0].argmax(1).cpu() == exact[0].argmax(1)).float().mean().item(),
    }


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
    """IoU, suppression and pooling of oriented boxes on the device against the CPU."""
    count = 200 if check.smoke else 2000
    generator = torch.Generator().manual_seed(1)
    boxes = torch.rand(count, 5, generator=generator) * torch.tensor([900.0, 900.0, 60.0, 20.0, 3.0]) + 1
    scores = torch.rand(count, generator=generator)
    there = boxes.to(check.device)
    features = torch.randn(1, 8, 64, 64, generator=generator)
    rois = torch.cat([torch.zeros(count, 1), boxes], dim=1)
    kept, kept_there = rotated_nms(boxes, scores, 0.1), rotated_nms(there, scores.to(check.device), 0.1)
    pooled = roi_align_rotated(features, rois, spatial_scale=1 / 16)
    pooled_there = roi_align_rotated(features.to(check.device), rois.to(check.device), spatial_scale=1 / 16)
    return {
        "iou": difference(rotated_iou(there, there), rotated_iou(boxes, boxes).double()),
        "same_kept": kept.tolist() == kept_there.tolist(),
        "roi_align": difference(pooled_there, pooled.double()),
    }


def detector_parity(check: Check) -> dict[str, Any]:
    """The four losses of a detector on the device against the CPU, with the same samples."""
    side = 64 if check.smoke else 512
    model = make_detector(check, "ti", side).train()
    losses = []
    for device in (torch.device("cpu"), check.device):
        moved = copy.deepcopy(model).to(device).eval()
        moved.training = True  # losses alone; every layer as in evaluation
        images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(2)).to(device)
        sampling = torch.Generator().manual_seed(3)
        labels = detection_labels(1, side, 5)
        with torch.no_grad():
            output = moved(images, labels=labels, task="first", generator=sampling)
        losses.append({name: value.item() for name, value in output.loss_parts["first"].items()})
    return {"cpu": losses[0], "device": losses[1]}


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
