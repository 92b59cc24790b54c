"""A step of S4P or of joint training on a processor, like for like: checkpointing, allocator and peak memory of both.

    python benchmarks/processor_step.py                                   # ViT-B, 512 px, batch 2 + 2, float32
    python benchmarks/processor_step.py --precisions no bf16              # both precisions
    python benchmarks/processor_step.py --training moe --tasks 2          # mixture of experts, 2 tasks x 2 images
    python benchmarks/processor_step.py --image-size 256 --repeats 1 --no-memory   # quicker

The baseline is the official algorithm, with SDPA, and with every block recomputed, as officially: that of S4P as
`s4p_step.py` writes it; that of joint training is a forward per task with the decoder as released, and one backward of
the sum. Contestants take turns in one process on one thread, each a warm-up step first; a row gives the median of the
processor times, which a busy machine changes less than the clock. They are compared with the official step in the
first of the precisions, and with that in their own. Peak memory is that of a process of its own.
"""

import argparse
import sys
from contextlib import nullcontext
from statistics import median

import torch
from moe_step import JointBench

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    allocator_in_words,
    argument_parser,
    in_own_process,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s4p_step import Bench
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.predictors.processor_kernels import processor_kernels
from s5_hf.training.selective_checkpointing import checkpointing_arguments

BASELINE = "official, true"
MEASURES = ("processor time, s", "wall, s", "speed / official", "in the same precision", "peak memory, GiB")
CONTESTANTS = (BASELINE, "s5_hf, true", "s5_hf, selective", "s5_hf, false")


def make_step(bench: Bench | JointBench, precision: str, contestant: str) -> None:
    """One step of a contestant, named by its algorithm and its checkpointing."""
    bench.precision = precision
    algorithm, kind = contestant.split(", ")
    bench.model.gradient_checkpointing_disable()
    arguments = checkpointing_arguments(kind)
    if arguments is not None:
        bench.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=arguments)
    if algorithm == "official":
        bench.official_step(0)
        return
    with processor_kernels(bench.device) if bench.device.type == "cpu" else nullcontext():
        bench.package_step(0)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--training", default="s4p", choices=["s4p", "moe"])
    parser.add_argument("--tasks", type=int, default=4, help="of joint training")
    parser.add_argument(
        "--batch-size", type=int, default=2, help="labelled, and as many unlabelled images; or images of each task"
    )
    parser.add_argument(
        "--precisions", nargs="+", default=["no"], choices=["no", "bf16"], help="of mixed precision; `no` is float32"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=CONTESTANTS)
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--memory-of", choices=CONTESTANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    keeps_freed = keep_freed_memory()  # as the programs of this package do; for all contestants
    # Of the benches, whose precision is set for each step.
    arguments.device, arguments.compile, arguments.precision = "cpu", False, arguments.precisions[0]
    torch.set_num_threads(1)
    arguments.images = arguments.batch_size
    bench = (JointBench if arguments.training == "moe" else Bench)(arguments)
    if arguments.memory_of:
        make_step(bench, arguments.precision, arguments.memory_of)
        print(peak_bytes() / 2**30)
        return
    names = [BASELINE, *(name for name in arguments.contestants if name != BASELINE)]
    rows = [(precision, name) for precision in arguments.precisions for name in names]
    found = take_turns({row: lambda row=row: make_step(bench, *row) for row in rows}, arguments.repeats)
    count = f"{arguments.tasks} tasks x" if arguments.training == "moe" else f"{arguments.batch_size} +"
    print(
        f"{arguments.training}, ViT-{arguments.size.upper()} + UPerNet, {arguments.image_size} px, batch {count} "
        f"{arguments.batch_size}, {processor_in_words()}, {torch_in_words()}, {allocator_in_words(keeps_freed)}, "
        f"median of {arguments.repeats}\n"
    )
    print_head("precision", "algorithm, checkpointing", *MEASURES)
    times = {row: median(seconds.processor) for row, seconds in found.items()}
    for (precision, name), seconds in found.items():
        words = [*sys.argv[1:], "--precisions", precision, "--memory-of", name]
        peak = "-" if arguments.no_memory else f"{in_own_process(words):.2f}"
        processor = times[precision, name]
        ratios = [times[baseline, BASELINE] / processor for baseline in (arguments.precisions[0], precision)]
        cells = f"{processor:.1f}", f"{median(seconds.wall):.1f}", *(f"{ratio:.2f}" for ratio in ratios), peak
        print_row({"no": "float32"}.get(precision, precision), name, *cells)


if __name__ == "__main__":
    main()
