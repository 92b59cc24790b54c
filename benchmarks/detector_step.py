"""Where the time of the oriented detector goes: one inference and one training step, part by part.

    python benchmarks/detector_step.py                            # ViT-B with two experts at 1024 px, one image
    python benchmarks/detector_step.py --size ti --image-size 512
    python benchmarks/detector_step.py --device cuda

The baseline of both tables is the backbone's forward pass in the same run. Times are those of a part itself, without
the parts inside it that have a row of their own; medians over the repeats, on one thread, as the programs of this
package compute. The weights are new, so there are 2,000 proposals, as many as there can be.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    allocator_in_words,
    argument_parser,
    now,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    torch_in_words,
)
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.hub.names import config_of
from s5_hf.modeling import (
    S5ForOrientedObjectDetection,
    S5ImageProcessor,
    S5ViTBackbone,
    oriented_roi_head,
    oriented_rpn,
)
from s5_hf.modeling.necks import FeaturePyramidNetwork
from s5_hf.modeling.oriented_roi_head import OrientedRoIHead
from s5_hf.modeling.oriented_rpn import OrientedRPN
from s5_hf.predictors.processor_kernels import processor_kernels

BASELINE = "backbone"
PARTS: tuple[tuple[object, str, str], ...] = (
    (S5ViTBackbone, "forward", BASELINE),
    (FeaturePyramidNetwork, "forward", "feature pyramid network"),
    (OrientedRPN, "forward", "RPN head"),
    (OrientedRPN, "propose", "proposals: choose and decode"),
    (oriented_rpn, "kept_in_groups", "proposals: NMS"),
    (OrientedRPN, "sample_anchors", "anchors: sample and encode"),
    (oriented_rpn, "assign_anchors", "anchors: assign"),
    (OrientedRoIHead, "sample_proposals", "proposals: assign, sample, encode"),
    (OrientedRoIHead, "forward", "RoI head: layers"),
    (oriented_roi_head, "roi_align_of_valid_rois", "RoI head: RoIAlign"),
    (S5ImageProcessor, "post_process_oriented_object_detection", "post-processing"),
)


def clocks(device: str) -> np.ndarray:
    """Seconds of processor time and on the clock, once the device has done what it was given."""
    wall = now(device)
    return np.array([time.process_time(), wall])


class Stopwatch:
    """Adds up the seconds spent in the parts, each without those it calls, by both clocks."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.inner: list[np.ndarray] = []
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self.seconds: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))

    def watch(self, owner: object, name: str, part: str) -> None:
        original = getattr(owner, name)

        def timed(*arguments: object, **named: object) -> object:
            return self.time(part, lambda: original(*arguments, **named))

        setattr(owner, name, timed)

    def time(self, part: str, run: Callable[[], object]) -> object:
        start = clocks(self.device)
        self.inner.append(np.zeros(2))
        result = run()
        elapsed = clocks(self.device) - start
        self.seconds[part] += elapsed - self.inner.pop()
        if self.inner:
            self.inner[-1] += elapsed
        return result


def random_labels(count: int, num_labels: int, image_size: int) -> list[dict[str, torch.Tensor]]:
    """Objects of 10 to 90 px, anywhere; on the host, as in training."""
    generator = torch.Generator().manual_seed(0)
    low = torch.tensor([0.0, 0, 10, 10, -1.5])
    high = torch.tensor([image_size, image_size, 90.0, 90, 1.5])
    boxes = low + torch.rand(count, 5, generator=generator) * (high - low)
    classes = torch.randint(num_labels, (count,), generator=generator)
    return [{"boxes": boxes, "class_labels": classes}]


def print_table(title: str, turns: list[dict[str, np.ndarray]]) -> None:
    """One row per part, the longest first; shares are those of the clock, which also counts what a GPU does."""
    total = np.median([sum(turn.values()) for turn in turns], axis=0)
    parts = {part: np.median([turn[part] for turn in turns], axis=0) for part in turns[0]}
    print(f"\n{title}: {total[0]:.2f} s of processor time, {total[1]:.2f} s on the clock\n")
    print_head("part", "processor time, s", "wall, s", "share", f"time / {BASELINE}")
    for part, (processor, wall) in sorted(parts.items(), key=lambda entry: -entry[1][1]):
        shares = f"{wall / total[1]:.1%}", f"{wall / parts[BASELINE][1]:.3f}"
        print_row(part, f"{processor:.3f}", f"{wall:.3f}", *shares)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    keeps_freed = keep_freed_memory()  # as the programs of this package do
    torch.set_num_threads(1)
    torch.manual_seed(0)
    watch = Stopwatch(arguments.device)
    for owner, name, part in PARTS:
        watch.watch(owner, name, part)
    model = S5ForOrientedObjectDetection(config_of(arguments.size, "-moe-det")).to(arguments.device)
    image = torch.randn(1, 3, arguments.image_size, arguments.image_size, device=arguments.device)
    labels = random_labels(arguments.objects, 18, arguments.image_size)
    print(
        f"ViT-{arguments.size.upper()}, {arguments.image_size} px, {arguments.objects} objects, {arguments.device}, "
        f"{processor_in_words()}, {torch_in_words()}, {allocator_in_words(keeps_freed)}, median of {arguments.repeats}"
    )

    def infer() -> None:
        with torch.inference_mode():
            outputs = model.eval()(image, task="dota")
        S5ImageProcessor().post_process_oriented_object_detection(outputs)

    def train() -> None:
        output = model.train()(image, labels=labels, task="dota")
        watch.time("backward", output.loss.backward)
        model.zero_grad()

    for title, run in (("One inference", infer), ("One training step, without the optimizer", train)):
        turns = []
        with processor_kernels(arguments.device):
            run()  # warm-up
            for _ in range(arguments.repeats):
                watch.start()
                run()
                turns.append(watch.seconds)
        print_table(title, turns)
        print(f"\npeak memory so far {peak_bytes(arguments.device) / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
