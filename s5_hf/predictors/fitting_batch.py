"""How many images a forward pass may take: what fits into the free memory of a GPU."""

from collections.abc import Sequence

import torch

from .image_probabilities import image_probabilities
from .interfaces import SceneSegmenter

__all__ = ["PROCESSOR_BATCH", "fitting_batch_size"]

PROCESSOR_BATCH, LARGEST_BATCH = 4, 64
# Share of the free memory that a batch may take: the sums of the scene and the cache of the allocator need some too.
SHARE = 0.5


def fitting_batch_size(
    segmenter: SceneSegmenter,
    size: tuple[int, int],
    flips: Sequence[str] = ("none",),
    scales: Sequence[float] = (1.0,),
) -> int:
    """Images per forward pass: 4 on a processor; on a GPU a power of two, 64 at most, found with one image.

    Args:
        segmenter: on its device.
        size: height and width of an image.
        flips, scales: views of each, as `predict_probabilities` takes them.
    """
    device = torch.device(segmenter.device)
    if device.type != "cuda":
        return PROCESSOR_BATCH
    image = torch.zeros(1, len(segmenter.image_mean), *size, dtype=torch.uint8)
    image_probabilities(segmenter, image, flips, scales)  # what is made once is no part of an image
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    image_probabilities(segmenter, image, flips, scales)
    needed = max(torch.cuda.max_memory_allocated(device) - before, 1)
    free, _ = torch.cuda.mem_get_info(device)
    fitting = min(max(int(free * SHARE / needed), 1), LARGEST_BATCH)
    return 1 << (fitting.bit_length() - 1)
