"""A forward pass of S5 ViT + UPerNet against the official algorithm, and of its encoder against transformers' ViT.

    python benchmarks/forward.py                                  # ViT-B at 512 px on one thread, some minutes
    python benchmarks/forward.py --no-compile --repeats 3         # without the compiled rows
    python benchmarks/forward.py --device cuda                    # on a GPU

Two baselines, measured in the same run: transformers' own ViT of the same width, depth and image size with SDPA for
the encoder, and for the whole network the official algorithm with SDPA, whose decoder enlarges and stacks all levels
before it convolves them. "as released" has the attention of the release, which writes its weights out. "s5-hf predict"
is the network as `predict`, `evaluate` and `score` run it. All have the same weights, where they have the same
network, and take turns; a row gives the medians over the turns. Peak memory is that of a process of its own (on a GPU:
of the allocator). The encoder must not be slower than 1.05 x its baseline.
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch
from transformers import ViTConfig, ViTModel

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    allocator_in_words,
    argument_parser,
    in_own_process,
    make_segmenter,
    now,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s4p_step import official_decoders
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.modeling import S5ViTConfig, S5ViTModel
from s5_hf.predictors import TorchSegmenter

Forward = Callable[[torch.Tensor], object]

ENCODER = "transformers ViT, SDPA"
OFFICIAL = "official ViT + UPerNet, SDPA"


def transformers_vit(implementation: str, arguments: argparse.Namespace) -> Forward:
    ours = S5ViTConfig.from_size(arguments.size)
    config = ViTConfig(
        hidden_size=ours.hidden_size,
        num_hidden_layers=ours.num_hidden_layers,
        num_attention_heads=ours.num_attention_heads,
        intermediate_size=ours.intermediate_size,
        image_size=arguments.image_size,
        attn_implementation=implementation,
    )
    return ViTModel(config, add_pooling_layer=False).to(arguments.device).eval()


def s5_encoder(implementation: str, arguments: argparse.Namespace) -> Forward:
    config = S5ViTConfig.from_size(arguments.size, image_size=arguments.image_size, attn_implementation=implementation)
    return S5ViTModel(config).to(arguments.device).eval()


def s5_segmenter(implementation: str, arguments: argparse.Namespace) -> torch.nn.Module:
    model = make_segmenter(arguments.size, arguments.image_size, attn_implementation=implementation)
    return model.to(arguments.device).eval()


def official_segmenter(implementation: str, arguments: argparse.Namespace) -> Forward:
    model = s5_segmenter(implementation, arguments)

    def forward(images: torch.Tensor) -> object:
        with official_decoders(model):
            return model(images)

    return forward


def prediction(precision: str, compiled: bool, arguments: argparse.Namespace) -> Forward:
    model = s5_segmenter("sdpa", arguments)
    return TorchSegmenter(model, device=arguments.device, precision=precision, compile_model=compiled).predict


# Of each contestant: its baseline, and how its forward pass is made.
CONTESTANTS: dict[str, tuple[str, Callable[[argparse.Namespace], Forward]]] = {
    ENCODER: (ENCODER, lambda arguments: transformers_vit("sdpa", arguments)),
    "transformers ViT, eager": (ENCODER, lambda arguments: transformers_vit("eager", arguments)),
    "S5 encoder, SDPA": (ENCODER, lambda arguments: s5_encoder("sdpa", arguments)),
    "S5 encoder, eager": (ENCODER, lambda arguments: s5_encoder("eager", arguments)),
    OFFICIAL: (OFFICIAL, lambda arguments: official_segmenter("sdpa", arguments)),
    "official ViT + UPerNet, as released": (OFFICIAL, lambda arguments: official_segmenter("eager", arguments)),
    "S5 ViT + UPerNet": (OFFICIAL, lambda arguments: s5_segmenter("sdpa", arguments)),
    "s5-hf predict": (OFFICIAL, lambda arguments: prediction("fp32", False, arguments)),
    "s5-hf predict --compile": (OFFICIAL, lambda arguments: prediction("fp32", True, arguments)),
    "s5-hf predict --precision bf16": (OFFICIAL, lambda arguments: prediction("bf16", False, arguments)),
    "s5-hf predict --precision bf16 --compile": (OFFICIAL, lambda arguments: prediction("bf16", True, arguments)),
}


def build(name: str, arguments: argparse.Namespace) -> Forward:
    torch.manual_seed(0)
    return CONTESTANTS[name][1](arguments)


def images(arguments: argparse.Namespace) -> torch.Tensor:
    shape = (arguments.batch_size, 3, arguments.image_size, arguments.image_size)
    return torch.randn(shape, device=arguments.device)


@torch.inference_mode()
def run(forward: Forward, batch: torch.Tensor) -> None:
    """One forward pass, until the device has done it."""
    forward(batch)
    now(batch.device.type)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled rows out")
    parser.add_argument("--memory-of", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    return parser.parse_args()


def peak_memory(name: str, arguments: argparse.Namespace) -> float:
    """Peak memory in GiB of one forward pass, in a process of its own."""
    words = ["--memory-of", name]
    for option in ("size", "image_size", "batch_size", "threads", "device"):
        words += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    return in_own_process(words)


def main() -> None:
    arguments = parse_arguments()
    keeps_freed = keep_freed_memory()  # as the programs of this package do; for all contestants
    torch.set_num_threads(arguments.threads)
    batch = images(arguments)
    if arguments.memory_of:
        run(build(arguments.memory_of, arguments), batch)
        print(peak_bytes(arguments.device) / 2**30)
        return
    names = [name for name in CONTESTANTS if not (arguments.no_compile and "compile" in name)]
    print(
        f"ViT-{arguments.size.upper()}, {arguments.image_size} px, batch {arguments.batch_size}, {arguments.device}, "
        f"{processor_in_words()}, {torch_in_words()}, {allocator_in_words(keeps_freed)}, "
        f"median of {arguments.repeats}\n"
    )
    forwards = {name: build(name, arguments) for name in names}
    found = take_turns(
        {name: lambda forward=forward: run(forward, batch) for name, forward in forwards.items()}, arguments.repeats
    )
    print_head("contestant", "processor time, s", "wall, s", "images/s, wall", "baseline / it", "peak memory, GiB")
    for name in names:
        processor, wall = median(found[name].processor), median(found[name].wall)
        # The work of a GPU is seen on the clock only.
        kind = "processor" if arguments.device == "cpu" else "wall"
        baseline = median(getattr(found[CONTESTANTS[name][0]], kind))
        ratio = baseline / median(getattr(found[name], kind))
        rate, memory = arguments.batch_size / wall, peak_memory(name, arguments)
        print_row(name, f"{processor:.2f}", f"{wall:.2f}", f"{rate:.2f}", f"{ratio:.2f}", f"{memory:.2f}")


if __name__ == "__main__":
    main()
