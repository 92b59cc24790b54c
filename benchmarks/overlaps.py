"""What the overlap of windows is worth: quality and processor time of maps with different overlaps.

    python examples/train_small_segmenter.py DATA/citymaps/train MODEL --steps 2000 --classes land building road \\
        park water
    python benchmarks/overlaps.py MODEL --images DATA/citymaps/val/images --masks DATA/citymaps/val/masks

The baseline is an overlap of half a window with the cosine window. All settings take turns on each image, on one
thread. The differences to the baseline have an interval over images (bootstrap, 95 %): mIoU of the images drawn.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from measuring import argument_parser, peak_bytes, print_head, print_row, processor_in_words, torch_in_words
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.metrics import SegmentationCounts
from s5_hf.predictors import load_segmenters
from s5_hf.scenes import WindowSettings
from s5_hf.scenes.segmentation.scene_probabilities import SceneProbabilities
from s5_hf.scenes.source import ArrayScene

BASELINE = (0.5, "cosine")
SETTINGS = (BASELINE, (0.25, "cosine"), (0.125, "cosine"), (0.0, "flat"))
DRAWS = 1000


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("model", help="folder of a segmenter")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True, help="PNG of the same names, with class ids")
    parser.add_argument("--window", type=int, default=160, help="side in pixels, as the model was trained (160)")
    parser.add_argument("--count", type=int, help="number of images; all by default")
    parser.add_argument("--precision", default="fp32")
    return parser.parse_args()


def mean_iou(confusions: np.ndarray) -> float:
    """Percent, of confusion matrices `(images, classes, classes)` together."""
    total = confusions.sum(axis=0)
    right = np.diag(total)
    union = total.sum(axis=0) + total.sum(axis=1) - right
    return 100 * float(np.mean(right[union > 0] / union[union > 0]))


def interval(confusions: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """95 % of the differences of mIoU to the baseline, over images drawn with replacement."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(baseline), size=len(baseline)) for _ in range(DRAWS)]
    differences = [mean_iou(confusions[draw]) - mean_iou(baseline[draw]) for draw in draws]
    return tuple(np.percentile(differences, [2.5, 97.5]))


def main() -> None:
    arguments = parse_arguments()
    keep_freed_memory()  # as the programs of this package do
    torch.set_num_threads(1)
    segmenter = load_segmenters(arguments.model, precision=arguments.precision)[0]
    counts = {key: SegmentationCounts(segmenter.labels) for key in SETTINGS}
    confusions = {key: [] for key in SETTINGS}
    seconds, wall, windows = dict.fromkeys(SETTINGS, 0.0), dict.fromkeys(SETTINGS, 0.0), {}
    equal, pixels = dict.fromkeys(SETTINGS, 0), 0
    paths = sorted(arguments.images.iterdir())[: arguments.count]
    for path in paths:
        with Image.open(path) as image, Image.open(arguments.masks / f"{path.stem}.png") as mask:
            scene, labels = np.array(image.convert("RGB")), np.array(mask)
        maps = {}
        for key in SETTINGS:
            processor, clock = time.process_time(), time.perf_counter()
            overlap, blending = key
            settings = WindowSettings(arguments.window, overlap, blending, batch_size=4)
            found = SceneProbabilities(ArrayScene(scene), [segmenter], settings)
            maps[key] = torch.cat([rows.probabilities.argmax(dim=0) for rows in found])
            seconds[key] += time.process_time() - processor
            wall[key] += time.perf_counter() - clock
            windows[key] = len(found.grid)
            former = counts[key].confusion.counts.clone()
            counts[key].update(maps[key], labels)
            confusions[key].append((counts[key].confusion.counts - former).cpu().numpy())
            equal[key] += (maps[key] == maps[BASELINE]).sum().item()
        pixels += labels.size

    print(
        f"{arguments.model}, {len(paths)} images, windows of {arguments.window} px, {arguments.precision}, "
        f"{processor_in_words()}, {torch_in_words()}\n"
    )
    scores_head = ("mIoU, percent", "less the baseline (95 %)", "Boundary IoU", "equal pixels")
    print_head("overlap", "blending", "windows", *scores_head, "processor time, s", "wall, s", "of the baseline")
    stacked = {key: np.stack(values)[:, : len(segmenter.labels)] for key, values in confusions.items()}
    for key, found in counts.items():
        scores, (low, high) = found.scores(), interval(stacked[key], stacked[BASELINE])
        print_row(
            f"{key[0]:g}",
            key[1],
            str(windows[key]),
            f"{100 * scores['mIoU']:.2f}",
            f"{low:+.2f} to {high:+.2f}",
            f"{100 * scores['boundary_mIoU']:.2f}",
            f"{100 * equal[key] / pixels:.2f} %",
            f"{seconds[key]:.1f}",
            f"{wall[key]:.1f}",
            f"{seconds[key] / seconds[BASELINE]:.2f}",
        )
    print(f"\npeak memory {peak_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
