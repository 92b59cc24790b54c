"""A step of joint training: one forward of the mixed batch against one forward per task, time and memory.

    python benchmarks/moe_step.py                                       # ViT-Ti, 256 px, 4 tasks x 2 images, CPU
    python benchmarks/moe_step.py --size b --image-size 512 --images 1 --rounds 2
    python benchmarks/moe_step.py --device cuda --size l --image-size 512 --images 4 --rounds 5

Same weights, images and optimizer for all; every contestant runs in processes of its own, in turns, so that the peak
memory is its own. The baseline is the official way: a forward per task, the sum of the losses, one backward. The third
goes backward after every task, which needs the least memory. The last row is a dense model of one task with as many
images: what the experts and the decoders of the other tasks cost.
"""

import argparse
import json
import sys
from statistics import median

import torch

from measuring import argument_parser, in_own_process, now, peak_bytes, print_head, print_row, torch_in_words
from s4p_step import official_decoders
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from s5_hf.training.joint.step import JointBatch
from s5_hf.training.optimizer import make_optimizer
from s5_hf.training.segmentation.step import SegmentationStep

BASELINE = "one forward per task"
CONTESTANTS = (BASELINE, "one mixed forward", "one forward and backward per task", "dense, one task")


def make_model(arguments: argparse.Namespace, dense: bool) -> S5ForSemanticSegmentation:
    """A mixture of experts with `--tasks` tasks of seven classes, or its dense counterpart."""
    torch.manual_seed(0)
    count = 1 if dense else arguments.tasks
    vit = S5ViTConfig.from_size(arguments.size, image_size=arguments.image_size)
    vit.num_experts, vit.expert_channels = (0 if dense else count), vit.hidden_size // 4
    tasks = {f"task{index}": [f"class{label}" for label in range(7)] for index in range(count)}
    config = S5SegmentationConfig(backbone_config=vit, tasks=tasks)
    return S5ForSemanticSegmentation(config).to(arguments.device).train()


def make_batch(arguments: argparse.Namespace, tasks: list[str]) -> JointBatch:
    """Random images and labels, as many for each task."""
    count, side = arguments.tasks * arguments.images, arguments.image_size
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, side, side, generator=generator)
    labels = torch.randint(0, 7, (count, side, side), generator=generator)
    names = [tasks[row * len(tasks) // count] for row in range(count)]
    return JointBatch(images.to(arguments.device), labels.to(arguments.device), names)


def parts_by_task(batch: JointBatch) -> list[JointBatch]:
    """The batch of each task."""
    parts = []
    for task in dict.fromkeys(batch.tasks):
        rows = [row for row, name in enumerate(batch.tasks) if name == task]
        parts.append(JointBatch(batch.pixel_values[rows], batch.labels[rows], [task] * len(rows)))
    return parts


class JointBench:
    """A mixture of experts, its images, and a step of this package and of the official algorithm.

    Args:
        arguments: with `size`, `image_size`, `tasks`, `images`, `precision` and `device`.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.model, self.device = make_model(arguments, dense=False), torch.device(arguments.device)
        self.optimizer, self.loss = make_optimizer(self.model, 5e-5, 0.05), SegmentationStep()
        self.batch = make_batch(arguments, list(self.model.config.tasks))
        self.parts = parts_by_task(self.batch)
        self.precision = arguments.precision

    def package_step(self, step: int) -> None:
        """One forward of the mixed batch."""
        self.learn([self.batch])

    def official_step(self, step: int) -> None:
        """A forward per task with the decoder as released, the sum of the losses, one backward."""
        with official_decoders(self.model):
            self.learn(self.parts)

    def learn(self, batches: list[JointBatch]) -> None:
        """Forward of some batches, one backward, and the optimizer."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            total = sum(self.loss(self.model, batch, 0).loss for batch in batches)
        total.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of a step and peak memory of this process, for one contestant."""
    model = make_model(arguments, dense=arguments.contestant.startswith("dense"))
    optimizer, step = make_optimizer(model, 5e-5, 0.05), SegmentationStep()
    batch = make_batch(arguments, list(model.config.tasks))
    per_task = "per task" in arguments.contestant
    parts = parts_by_task(batch) if per_task else [batch]
    autocast = torch.autocast(arguments.device.split(":")[0], torch.bfloat16, enabled=arguments.precision == "bf16")
    seconds = []
    for _ in range(arguments.steps + 1):
        began = now(arguments.device)
        total = 0
        for part in parts:
            with autocast:
                loss = step(model, part, 0).loss
            if "backward" in arguments.contestant:
                loss.backward()
            else:
                total = total + loss
        if "backward" not in arguments.contestant:
            total.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(now(arguments.device) - began)
    peak = peak_bytes(arguments.device) / 2**30
    return {"seconds": median(seconds[1:]), "peak": peak, "parameters": model.num_parameters()}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="ti", help="ViT size: ti, s, b, l or h")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--images", type=int, default=2, help="of each task; one by one batch norm needs two")
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("--steps", type=int, default=3, help="timed steps per process, after one to warm up")
    parser.add_argument("--rounds", type=int, default=2, help="processes per contestant, in turns")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contestant:
        print(json.dumps(measure(arguments)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(arguments.rounds):
        for name in CONTESTANTS:
            found[name].append(in_own_process([*sys.argv[1:], "--contestant", name]))

    images = arguments.tasks * arguments.images
    print(
        f"ViT-{arguments.size.upper()} + UPerNet, {arguments.image_size} px, {arguments.tasks} tasks x "
        f"{arguments.images} images, {arguments.device}, precision {arguments.precision}, "
        f"{torch_in_words()}, median of {arguments.rounds} processes with {arguments.steps} steps\n"
    )
    print_head("step", "images/s", "speed / baseline", "peak memory, GiB", "memory / baseline", "parameters, M")
    seconds = {name: median(entry["seconds"] for entry in entries) for name, entries in found.items()}
    peaks = {name: median(entry["peak"] for entry in entries) for name, entries in found.items()}
    for name, entries in found.items():
        ratios = (
            images / seconds[name],
            seconds[BASELINE] / seconds[name],
            peaks[name],
            peaks[name] / peaks[BASELINE],
        )
        print_row(name, *(f"{value:.2f}" for value in ratios), f"{entries[0]['parameters'] / 1e6:.1f}")


if __name__ == "__main__":
    main()
