"""How far the maps of a model in bf16 agree with those in float32, and how much sooner they are there.

    python benchmarks/precision.py MODEL --images DATA/citymaps/val/images --masks DATA/citymaps/val/masks

The baseline is the same model in float32 in the same run. Images are cut to `--side`; both precisions take turns on
each image, on one thread, and processor times are sums over all images.
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


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("model", help="folder of a segmenter")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True, help="PNG of the same names, with class ids")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--count", type=int, help="number of images; all by default")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    keep_freed_memory()  # as the programs of this package do
    torch.set_num_threads(1)
    segmenters = {
        precision: load_segmenters(arguments.model, precision=precision)[0] for precision in ("fp32", "bf16")
    }
    exact = segmenters["fp32"]
    mean, std = (torch.tensor(values)[:, None, None] for values in (exact.image_mean, exact.image_std))
    counts = {name: SegmentationCounts(exact.labels, boundary=False) for name in segmenters}
    seconds, wall, equal, total = dict.fromkeys(segmenters, 0.0), dict.fromkeys(segmenters, 0.0), 0, 0
    side = arguments.side
    paths = sorted(arguments.images.iterdir())[: arguments.count]
    for path in paths:
        with Image.open(path) as image, Image.open(arguments.masks / f"{path.stem}.png") as mask:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))[:side, :side]).permute(2, 0, 1)
            labels = np.array(mask)[:side, :side]
        batch, maps = ((pixels / 255 - mean) / std)[None], {}
        for name, segmenter in segmenters.items():
            processor, clock = time.process_time(), time.perf_counter()
            maps[name] = segmenter.predict(batch).argmax(dim=1)[0]
            seconds[name] += time.process_time() - processor
            wall[name] += time.perf_counter() - clock
            counts[name].update(maps[name], labels)
        equal += (maps["fp32"] == maps["bf16"]).sum().item()
        total += labels.size
    print(f"{arguments.model}, {len(paths)} images of {side} px, {processor_in_words()}, {torch_in_words()}\n")
    print_head("precision", "mIoU, percent", "equal pixels, percent", "processor time, s", "wall, s", "speed / fp32")
    for name, found in counts.items():
        share = 100 * equal / total if name == "bf16" else 100
        times = f"{seconds[name]:.1f}", f"{wall[name]:.1f}", f"{seconds['fp32'] / seconds[name]:.2f}"
        print_row(name, f"{100 * found.scores()['mIoU']:.3f}", f"{share:.3f}", *times)
    print(f"\npeak memory {peak_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
