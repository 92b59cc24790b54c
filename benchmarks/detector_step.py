"""Where the time of the oriented detector goes: one inference and one training step, part by part.

    python benchmarks/detector_step.py                            # ViT-B with two experts at 1024 px, one image
    python benchmarks/detector_step.py --size ti --image-size 512
    python benchmarks/detector_step.py --device cuda

The baseline of both tables is the backbone's forward pass in the same run. Times are those of a part itself, without
the parts inside it that have a row of their own; medians over the repeats. The weights are new, so there are 2,000
proposals, as many as there can be.
"""

from collections import defaultdict
from collections.abc import Callable
from statistics import median

import torch

from measuring import argument_parser, now, print_head, print_row, torch_in_words
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


class Stopwatch:
    """Adds up the seconds spent in the parts, each without those it calls."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: dict[str, float] = defaultdict(float)
        self.inner: list[float] = []

    def watch(self, owner: object, name: str, part: str) -> None:
        original = getattr(owner, name)

        def timed(*arguments: object, **named: object) -> object:
            return self.time(part, lambda: original(*arguments, **named))

        setattr(owner, name, timed)

    def time(self, part: str, run: Callable[[], object]) -> object:
        start = now(self.device)
        self.inner.append(0.0)
        result = run()
        elapsed = now(self.device) - start
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


def print_table(title: str, turns: list[dict[str, float]]) -> None:
    """One row per part, the longest first."""
    total = median(sum(turn.values()) for turn in turns)
    parts = {part: median(turn[part] for turn in turns) for part in turns[0]}
    print(f"\n{title}: {total:.2f} s\n")
    print_head("part", "seconds", "share", f"time / {BASELINE}")
    for part, seconds in sorted(parts.items(), key=lambda entry: -entry[1]):
        print_row(part, f"{seconds:.3f}", f"{seconds / total:.1%}", f"{seconds / parts[BASELINE]:.3f}")


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    watch = Stopwatch(arguments.device)
    for owner, name, part in PARTS:
        watch.watch(owner, name, part)
    model = S5ForOrientedObjectDetection(config_of(arguments.size, "-moe-det")).to(arguments.device)
    image = torch.randn(1, 3, arguments.image_size, arguments.image_size, device=arguments.device)
    labels = random_labels(arguments.objects, 18, arguments.image_size)
    print(
        f"ViT-{arguments.size.upper()}, {arguments.image_size} px, {arguments.objects} objects, {arguments.device}, "
        f"{torch_in_words()}, median of {arguments.repeats}"
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
        run()  # warm-up
        turns = []
        for _ in range(arguments.repeats):
            watch.seconds = defaultdict(float)
            run()
            turns.append(dict(watch.seconds))
        print_table(title, turns)


if __name__ == "__main__":
    main()
