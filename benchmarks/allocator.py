"""What it is worth that programs of this package keep freed memory: a forward pass as `s5-hf predict` makes it.

    python benchmarks/allocator.py                        # a small ViT, batch 4, and ViT-B, batch 1, at 512 px

The baseline is glibc as it comes. Every row is the median over processes of its own, which take turns, of the median
over their forward passes, on one thread; the peak memory is that of a process. Page faults are those of one pass.
"""

import argparse
import json
import resource
import sys
from statistics import median

import torch

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    argument_parser,
    in_own_process,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from s5_hf.predictors import TorchSegmenter

# Name: width, blocks and heads of the ViT, channels of the decoder, images of a batch.
NETWORKS = {"ViT of width 192 and 6 blocks": (192, 6, 3, 64, 4), "ViT-B": (768, 12, 12, 256, 1)}
ALLOCATORS = ("as it comes", "freed memory kept")
SIDE = 512


def make_segmenter(name: str) -> tuple[TorchSegmenter, torch.Tensor]:
    """A network with UPerNet and new weights, and a batch for it."""
    width, blocks, heads, channels, batch_size = NETWORKS[name]
    torch.manual_seed(0)
    vit = S5ViTConfig(hidden_size=width, num_hidden_layers=blocks, num_attention_heads=heads, image_size=SIDE)
    tasks = {"scene": [f"class {index}" for index in range(7)]}
    config = S5SegmentationConfig(backbone_config=vit, tasks=tasks, decoder_channels=channels)
    return TorchSegmenter(S5ForSemanticSegmentation(config)), torch.randn(batch_size, 3, SIDE, SIDE)


def measure(name: str, allocator: str, repeats: int) -> dict[str, float]:
    """Medians of this process."""
    if allocator != ALLOCATORS[0] and not keep_freed_memory():
        raise SystemExit("the environment has settings for the allocator, or it is not glibc")
    torch.set_num_threads(1)
    segmenter, batch = make_segmenter(name)
    faults = []

    def predict() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        segmenter.predict(batch)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

    found = take_turns({name: predict}, repeats, warm_up=2)[name]
    times = {"processor": median(found.processor), "wall": median(found.wall)}
    return {**times, "faults": median(faults[2:]), "peak": peak_bytes() / 2**30}


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="of a process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of a row")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.repeats)))
        return
    torch.set_num_threads(1)
    print(f"{SIDE} px, {processor_in_words()}, {torch_in_words()}, median of {arguments.rounds} processes\n")
    measures = ("processor time, s", "wall, s", "page faults", "speed / as it comes", "peak memory, GiB")
    print_head("network", "allocator", *measures)
    for name in NETWORKS:
        rounds = [
            {allocator: in_own_process([*sys.argv[1:], "--measure", name, allocator]) for allocator in ALLOCATORS}
            for _ in range(arguments.rounds)
        ]
        for allocator in ALLOCATORS:
            row = {key: median(found[allocator][key] for found in rounds) for key in rounds[0][allocator]}
            ratio = median(found[ALLOCATORS[0]]["processor"] / found[allocator]["processor"] for found in rounds)
            cells = f"{row['processor']:.3f}", f"{row['wall']:.3f}", f"{row['faults']:,.0f}", f"{ratio:.2f}"
            print_row(name, allocator, *cells, f"{row['peak']:.2f}")


if __name__ == "__main__":
    main()
