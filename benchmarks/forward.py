"""Images per second and peak memory of a forward pass: S5 ViT + UPerNet, and its encoder against transformers' ViT.

    python benchmarks/forward.py                                  # ViT-B at 512 px on the CPU, some minutes
    python benchmarks/forward.py --no-compile --repeats 3         # without the compiled rows
    python benchmarks/forward.py --device cuda --dtype bfloat16   # on a GPU

The baseline is transformers' own ViT of the same width, depth and image size with SDPA, measured in the same run:
the contestants take turns, and a row gives the median over the turns. Peak memory is that of a process of its own
(on a GPU: of the allocator). The encoder must not be slower than 1.05 x the baseline.
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch
from transformers import ViTConfig, ViTModel

# What benchmarks share is in measuring.py, so their imports look alike.
from measuring import (
    argument_parser,
    in_own_process,
    make_segmenter,
    peak_bytes,
    print_head,
    print_row,
    timed,
    torch_in_words,
)
from s5_hf.modeling import S5ViTConfig, S5ViTModel

BASELINE = "transformers ViT, SDPA"
ENCODER = "S5 encoder, SDPA"


def transformers_vit(size: str, image_size: int, implementation: str) -> torch.nn.Module:
    ours = S5ViTConfig.from_size(size)
    config = ViTConfig(
        hidden_size=ours.hidden_size,
        num_hidden_layers=ours.num_hidden_layers,
        num_attention_heads=ours.num_attention_heads,
        intermediate_size=ours.intermediate_size,
        image_size=image_size,
        attn_implementation=implementation,
    )
    return ViTModel(config, add_pooling_layer=False)


def s5_encoder(size: str, image_size: int, implementation: str) -> torch.nn.Module:
    return S5ViTModel(S5ViTConfig.from_size(size, image_size=image_size, attn_implementation=implementation))


def s5_segmenter(size: str, image_size: int, implementation: str) -> torch.nn.Module:
    return make_segmenter(size, image_size, attn_implementation=implementation)


CONTESTANTS: dict[str, Callable[[str, int], torch.nn.Module]] = {
    BASELINE: lambda size, image_size: transformers_vit(size, image_size, "sdpa"),
    "transformers ViT, eager": lambda size, image_size: transformers_vit(size, image_size, "eager"),
    ENCODER: lambda size, image_size: s5_encoder(size, image_size, "sdpa"),
    "S5 encoder, eager": lambda size, image_size: s5_encoder(size, image_size, "eager"),
    "S5 ViT + UPerNet, eager": lambda size, image_size: s5_segmenter(size, image_size, "eager"),
    "S5 ViT + UPerNet, SDPA": lambda size, image_size: s5_segmenter(size, image_size, "sdpa"),
    "S5 ViT + UPerNet, SDPA, compiled": lambda size, image_size: torch.compile(s5_segmenter(size, image_size, "sdpa")),
}


def build(name: str, arguments: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(0)
    model = CONTESTANTS[name](arguments.size, arguments.image_size)
    return model.to(device=arguments.device, dtype=getattr(torch, arguments.dtype)).eval()


def images(batch_size: int, arguments: argparse.Namespace) -> torch.Tensor:
    shape = (batch_size, 3, arguments.image_size, arguments.image_size)
    return torch.randn(shape, device=arguments.device, dtype=getattr(torch, arguments.dtype))


@torch.inference_mode()
def seconds(model: torch.nn.Module, batch: torch.Tensor) -> float:
    """Wall time of one forward pass."""
    return timed(lambda: model(batch), batch.device.type)


def peak_memory(name: str, batch_size: int, arguments: argparse.Namespace) -> float:
    """Peak memory in GiB of one forward pass, in a process of its own."""
    words = ["--memory-of", name, "--batch-sizes", str(batch_size)]
    for option in ("size", "image_size", "device", "dtype"):
        words += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    return in_own_process(words)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled rows out")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.memory_of:
        seconds(build(arguments.memory_of, arguments), images(arguments.batch_sizes[0], arguments))
        print(peak_bytes(arguments.device) / 2**30)
        return
    names = [name for name in CONTESTANTS if not (arguments.no_compile and "compiled" in name)]
    print(
        f"ViT-{arguments.size.upper()}, {arguments.image_size} px, {arguments.device}, {arguments.dtype}, "
        f"{torch_in_words()}, median of {arguments.repeats}\n"
    )
    print_head("contestant", "batch", "images/s", "time / baseline", "peak memory, GiB")
    models = {name: build(name, arguments) for name in names}
    for batch_size in arguments.batch_sizes:
        batch = images(batch_size, arguments)
        for model in models.values():
            seconds(model, batch)  # warm-up: compilation, caches of the allocator
        turns = [{name: seconds(model, batch) for name, model in models.items()} for _ in range(arguments.repeats)]
        for name in names:
            rate = batch_size / median(turn[name] for turn in turns)
            ratio = median(turn[name] / turn[BASELINE] for turn in turns)
            memory = peak_memory(name, batch_size, arguments)
            print_row(name, str(batch_size), f"{rate:.2f}", f"{ratio:.2f}", f"{memory:.2f}")


if __name__ == "__main__":
    main()
