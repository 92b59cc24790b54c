"""Maps per second that the metrics of segmentation count, against the usual ways, with equal counts.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --classes 16 --image-size 1024

Baselines: three histograms of the pixels that are not ignored, as mmsegmentation takes them, for mIoU; and an erosion
of the mask of each class, as the authors of Boundary IoU do, by scipy. All take turns in one process on one thread; a
row gives the median of the turns. The maps are smoothed noise; a band of each reference is ignored.
"""

import argparse
import math
from statistics import median

import numpy as np
import torch
from scipy import ndimage

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    argument_parser,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s5_hf.metrics import BoundaryCounts, SegmentationCounts

IGNORED = 255


def smooth_map(seed: int, classes: int, size: int) -> np.ndarray:
    """Blobs of all classes, int64."""
    noise = np.random.default_rng(seed).random((classes, size, size))
    return ndimage.gaussian_filter(noise, (0, size / 64, size / 64)).argmax(0)


def histograms(prediction: torch.Tensor, reference: torch.Tensor, classes: int) -> torch.Tensor:
    """Pixels of the intersection, the prediction and the reference, for each class."""
    counted = reference != IGNORED
    prediction, reference = prediction[counted], reference[counted]
    right = prediction[prediction == reference]
    return torch.stack(
        [torch.histc(ids.float(), bins=classes, min=0, max=classes - 1) for ids in (right, prediction, reference)]
    )


def erosions(prediction: torch.Tensor, reference: torch.Tensor, classes: int) -> np.ndarray:
    """Boundary pixels in both, in the reference and in the prediction, for each class."""
    guess, truth = prediction.numpy(), reference.numpy()
    ignored, steps = truth == IGNORED, max(1, round(0.02 * math.hypot(*truth.shape)))
    counts = np.zeros((3, classes), dtype=np.int64)
    for index in range(classes):
        masks = [(ids == index) & ~ignored for ids in (truth, guess)]
        rims = [mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=steps) for mask in masks]
        counts[:, index] = (rims[0] & rims[1]).sum(), rims[0].sum(), rims[1].sum()
    return counts


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=9)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    size, classes = arguments.image_size, arguments.classes
    prediction = torch.from_numpy(smooth_map(0, classes, size))
    reference = torch.from_numpy(smooth_map(1, classes, size).astype(np.uint8))
    reference[: size // 16] = IGNORED
    plain, whole = (SegmentationCounts([str(index) for index in range(classes)], boundary=both) for both in (0, 1))
    boundary = BoundaryCounts(classes)
    boundary.update(prediction, reference)
    assert (boundary.counts.numpy() == erosions(prediction, reference, classes)).all()
    works = {
        "mIoU: three histograms": lambda: histograms(prediction, reference, classes),
        "mIoU: s5_hf": lambda: plain.update(prediction, reference),
        "mIoU and Boundary IoU: histograms and erosions": lambda: (
            histograms(prediction, reference, classes),
            erosions(prediction, reference, classes),
        ),
        "mIoU and Boundary IoU: s5_hf": lambda: whole.update(prediction, reference),
    }
    found = take_turns(works, arguments.repeats)
    print(
        f"{size} px, {classes} classes, {processor_in_words()}, {torch_in_words()}, median of {arguments.repeats}, "
        f"peak memory {peak_bytes() / 2**30:.2f} GiB\n"
    )
    print_head("counts", "maps/s, processor time", "of the fastest turn", "maps/s, wall", "speed / baseline")
    names = list(works)
    for index, name in enumerate(names):
        processor = median(found[name].processor)
        ratio = median(found[names[index // 2 * 2]].processor) / processor
        rates = (processor, min(found[name].processor), median(found[name].wall))
        print_row(name, *(f"{1 / seconds:.0f}" for seconds in rates), f"{ratio:.1f}")


if __name__ == "__main__":
    main()
