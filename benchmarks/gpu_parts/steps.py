"""Parts 2 and 3: training steps with everything on the device, their rate, MFU, memory, waits and attention kernel."""

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from host_waits import counted_waits
from torch import nn

from gpu_parts.report import Check
from s5_hf.modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5SegmentationConfig,
    S5ViTConfig,
)
from s5_hf.semi_supervised import LabelledBatch, UnlabelledBatch, make_method
from s5_hf.training.optimizer import make_optimizer
from s5_hf.training.peaks import peak_flops
from s5_hf.training.selective_checkpointing import checkpointing_arguments
from s5_hf.training.throughput import detector_flops, segmenter_flops
from s5_hf.training.views.strong import box_masks, normalize, strong_view
from s5_hf.training.views.strong_draws import StrongAugmentation, draw_strong_parameters

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_segmenter(check: Check, size: str, side: int, classes: int = 16, tasks: int = 1) -> S5ForSemanticSegmentation:
    """ViT + UPerNet with new weights; with several tasks a mixture of experts."""
    torch.manual_seed(0)
    vit = S5ViTConfig.from_size(size, image_size=side)
    vit.num_experts, vit.expert_channels = (tasks if tasks > 1 else 0), vit.hidden_size // 4
    names = {f"task{task}": [f"class{label}" for label in range(classes)] for task in range(tasks)}
    widths = check.widths("decoder_channels")
    return S5ForSemanticSegmentation(S5SegmentationConfig(backbone_config=vit, tasks=names, **widths))


def make_detector(check: Check, size: str, side: int) -> S5ForOrientedObjectDetection:
    """A detector of two tasks with experts."""
    torch.manual_seed(0)
    vit = S5ViTConfig.from_size(size, image_size=side)
    vit.num_experts, vit.expert_channels = 2, vit.hidden_size // 4
    tasks = {name: [f"class{label}" for label in range(10)] for name in ("first", "second")}
    widths = check.widths("fpn_channels", "roi_channels")
    return S5ForOrientedObjectDetection(S5DetectionConfig(backbone_config=vit, tasks=tasks, **widths))


def detection_labels(images: int, side: int, objects: int) -> list[dict[str, torch.Tensor]]:
    """Boxes spread over each image; on the host, as in training."""
    generator = torch.Generator().manual_seed(objects)
    labels = []
    for _ in range(images):
        boxes = torch.rand(objects, 5, generator=generator) * torch.tensor(
            [side - 9.0, side - 9.0, 50, 20, 1]
        ) + torch.tensor([4.0, 4, 4, 4, 0])
        classes = torch.randint(0, 10, (objects,), generator=generator)
        labels.append({"boxes": boxes, "class_labels": classes})
    return labels


COMPILING = 150.0
"""Seconds that torch.compile may take longer than a measurement without it."""


def run_s4p(check: Check) -> None:
    """Part 2: S4P steps of three sizes, with and without checkpointing and compiling, and the official algorithm."""
    sizes, side, batch = (("ti",), 64, 2) if check.smoke else (("l", "b", "h"), 512, 12)

    def measure(size: str, compiled: bool, checkpointing: str) -> None:
        name = f"s4p {size}{' compiled' if compiled else ''}, checkpointing {checkpointing}"
        needs = COMPILING if compiled else 0.0
        check.measure(name, lambda: s4p_row(check, size, side, batch, compiled, checkpointing), needs)

    measure(sizes[0], compiled=False, checkpointing="false")
    check.measure("official algorithm", lambda: official_row(check, sizes[0], side, batch))
    for size in sizes[1:]:
        measure(size, compiled=False, checkpointing="false")
    for checkpointing in ("true", "selective"):
        for size in sizes:
            measure(size, compiled=False, checkpointing=checkpointing)
    for checkpointing in ("false", "true"):
        for size in () if check.smoke else sizes:
            measure(size, compiled=True, checkpointing=checkpointing)


def s4p_row(check: Check, size: str, side: int, batch: int, compiled: bool, checkpointing: str) -> dict[str, Any]:
    """One size and setting; a pair is a labelled and an unlabelled image."""
    model = make_segmenter(check, size, side).to(check.device).train()
    recomputing = checkpointing_arguments(checkpointing)
    if recomputing is not None:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=recomputing)
    flops = segmenter_flops(model, (3, side, side)).of_step(2 * batch, batch)
    method = make_method("fixmatch", confidence_threshold=0.0)
    labelled, unlabelled = s4p_batch(check, side, batch)
    if compiled:
        model.compile()

    def loss(views: UnlabelledBatch) -> torch.Tensor:
        return method(model, labelled, views, 0).loss

    return {"batch": f"{batch}+{batch}", "side": side, **rates(check, model, loss, batch, flops, unlabelled, "pairs")}


def s4p_batch(check: Check, side: int, batch: int) -> tuple[LabelledBatch, Callable[[int], UnlabelledBatch]]:
    """A labelled batch, and the strong views of a step of an unlabelled one, drawn and made anew each time."""
    images = torch.rand(batch, 3, side, side, device=check.device)
    labels = torch.randint(0, 16, (batch, side, side), device=check.device)
    weak, nothing = normalize(images, MEAN, STD), torch.zeros(batch, side, side, dtype=torch.bool, device=check.device)

    def unlabelled(number: int) -> UnlabelledBatch:
        drawn = draw_strong_parameters(range(number, number + batch), side, StrongAugmentation())
        strong = normalize(strong_view(images, drawn), MEAN, STD)
        return UnlabelledBatch(weak, (strong,), nothing, (box_masks(drawn.box, side, check.device),))

    return LabelledBatch(weak, labels), unlabelled


def official_row(check: Check, size: str, side: int, batch: int) -> dict[str, Any]:
    """The step as officially defined, against this package's, by `s4p_step.py` (needs Pillow)."""
    from argparse import Namespace

    from s4p_step import Bench

    bench = Bench(
        Namespace(
            size=size, image_size=side, batch_size=batch, device=str(check.device), precision="bf16", compile=False
        )
    )
    repeats, seconds = (1 if check.smoke else 2), {}
    for name, step in (
        ("s5_hf", bench.package_step), ("official", bench.official_step), ("released", bench.released_step)
    ):  # fmt: skip
        step(0)
        seconds[name] = median(sum(step(number + 1).values()) for number in range(repeats))
    return {**seconds, "speed_over_official": seconds["official"] / seconds["s5_hf"]}


def run_joint(check: Check) -> None:
    """Part 3: joint segmentation of four datasets, and detection with few and many objects."""
    side, batch = (64, 2) if check.smoke else (512, 12)
    for size in ("ti",) if check.smoke else ("b", "l"):
        check.measure(f"moe {size}", lambda size=size: moe_row(check, size, side, batch))
    side = 64 if check.smoke else 1024
    for objects in (3,) if check.smoke else (10, 100, 500):
        size = "ti" if check.smoke else "b"
        check.measure(f"detection {size} {objects}", lambda a=(size, side, objects): detection_row(check, *a))


def moe_row(check: Check, size: str, side: int, batch: int) -> dict[str, Any]:
    """One mixed forward of four tasks."""
    model = make_segmenter(check, size, side, classes=7, tasks=4).to(check.device).train()
    flops = segmenter_flops(_OneTask(model), (3, side, side)).of_step(4 * batch)
    images = torch.randn(4 * batch, 3, side, side, device=check.device)
    labels = torch.randint(0, 7, (4 * batch, side, side), device=check.device)
    tasks = [task for task in model.config.tasks for _ in range(batch)]
    found = rates(check, model, lambda _: model(images, labels=labels, task=tasks).loss, 4 * batch, flops)
    return {"batch": f"4x{batch}", "side": side, **found}


class _OneTask(nn.Module):
    """The first task of a model of several."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> Any:
        """The model's output."""
        return self.model(images, task=next(iter(self.model.config.tasks)))


def detection_row(check: Check, size: str, side: int, objects: int) -> dict[str, Any]:
    """Two images of each of two tasks."""
    model = make_detector(check, size, side).to(check.device).train()
    flops = detector_flops(model, "first", side, 3).of_step(4)
    images = torch.randn(4, 3, side, side, device=check.device)
    labels, sizes = detection_labels(4, side, objects), [[side, side]] * 4
    tasks = ["first", "first", "second", "second"]

    def loss(_: Any) -> torch.Tensor:
        return model(images, labels=labels, task=tasks, image_sizes=sizes).loss

    return {"batch": "2+2", "side": side, "objects": objects, **rates(check, model, loss, 4, flops)}


def rates(
    check: Check,
    model: nn.Module,
    loss: Callable[[Any], torch.Tensor],
    images: int,
    flops: float,
    batch: Callable[[int], Any] = lambda number: None,
    unit: str = "images",
) -> dict[str, Any]:
    """Rate, MFU, memory, waits and attention kernel of steps in bf16.

    Args:
        check: the machine.
        model: that is trained.
        loss: of a batch.
        images: of a step.
        flops: of a step.
        batch: makes that of a step on the device.
        unit: what an image is called.
    """
    optimizer = make_optimizer(model, 5e-5, 0.01)

    def step(number: int) -> None:
        views = batch(number)  # as in training, before autocast
        with check.autocast("bf16"):
            value = loss(views)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    warm, counted = (1, 1) if check.smoke else (3, 8)
    if check.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(check.device)
    for number in range(warm):
        step(number)
    check.wait()
    start = time.perf_counter()
    for number in range(counted):
        step(warm + number)
    check.wait()
    seconds = (time.perf_counter() - start) / counted
    found = {f"{unit}_per_second": images / seconds, "seconds_per_step": seconds}
    peak = peak_flops(check.device)
    if peak:
        found["mfu"] = flops / seconds / peak
    if check.device.type == "cuda":
        found["peak_gib"] = torch.cuda.max_memory_allocated(check.device) / 2**30
    return found | {"waits": waits(check, model, step), "attention": attention_kernels(check, step)}


def waits(check: Check, model: nn.Module, step: Callable[[int], None]) -> int:
    """How often a step waits for the device: as CUDA counts, or on a CPU what would wait."""
    if check.device.type != "cuda":
        with counted_waits(list(model.state_dict().values())) as found:
            step(99)
        return sum(found.values())
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step(99)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


def attention_kernels(check: Check, step: Callable[[int], None]) -> list[str]:
    """The kernels of a step that are called after attention."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if check.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        step(100)
        check.wait()
    words = ("flash", "fmha", "attention", "sdpa")
    names = {event.key for event in profile.key_averages() if any(word in event.key.lower() for word in words)}
    return sorted(name[:120] for name in names)[:12]
