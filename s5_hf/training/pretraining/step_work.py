"""What a step of S4 pre-training does, in images and FLOPs: in the supervised phase, and after it."""

from collections.abc import Sequence

import torch

from ...semi_supervised import Method
from ..throughput import StepWork, Throughput, forward_flops, segmenter_flops
from .recipe import PretrainingRecipe


def pretraining_throughput(
    recipe: PretrainingRecipe,
    method: Method,
    model: torch.nn.Module,
    shape: Sequence[int],
    processes: int,
    peak: float | None,
) -> Throughput:
    """What measures the speed of a run.

    Args:
        recipe: of the run.
        method: attached to the network.
        model: the bare network.
        shape: of an image, `(channels, height, width)`.
        processes: that share a step.
        peak: of one device in FLOP/s; without it no FLOPs are counted.
    """
    settings, phase = recipe.optimizer, recipe.method.unlabelled_from_step
    accumulation = settings.gradient_accumulation
    labelled = settings.labelled_batch_size if method.takes_labels else 0
    unlabelled = settings.unlabelled_batch_size if method.strong_views else 0
    images, first_images = accumulation * (labelled + unlabelled) * processes, accumulation * labelled * processes
    if peak is None:
        return Throughput(images, first_steps=phase, first_work=StepWork(first_images))
    strong = method.strong_views * unlabelled
    weak = unlabelled * (2 if recipe.method.cutmix_partner == "second_batch" and method.pastes else 1)
    flops = segmenter_flops(model, shape)
    of_step = flops.of_step(labelled + strong, weak if method.labels_itself else 0)
    image = torch.zeros(1, *shape, device=next(model.parameters()).device)
    for network, seen in method.frozen_passes(labelled, weak, strong):
        of_step += seen * forward_flops(lambda network=network: network(image))
    first = StepWork(first_images, accumulation * flops.of_step(labelled))
    return Throughput(images, accumulation * of_step, peak, phase, first)
