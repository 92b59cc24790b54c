"""Matrix products of a ViT on a processor: what torch takes, what `s5_hf` takes, and what else torch carries.

    python benchmarks/linears.py
    python benchmarks/linears.py --size l --tokens 4096

The baseline is torch's own linear layer in float32. "oneDNN, packed" has its weights brought into oneDNN's layout
beforehand. "1 x 1" is a convolution of 64 x 64 single pixels to 512 channels, "enlargement" a transposed one to twice
the side. Attention is that of one image. With the gradient, the difference is that of the gradient. All take turns in
one process on one thread; GFLOP/s are those of the fastest turn in processor time, the difference is relative to the
baseline.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch.nn import functional

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
from s5_hf.modeling import S5ViTConfig
from s5_hf.predictors.processor_kernels import processor_kernels


def compare(title: str, works: dict[str, Callable[[], torch.Tensor]], operations: float, repeats: int) -> None:
    """A row for each way; the first is the baseline."""
    found = take_turns(works, repeats)
    first = next(iter(works))
    expected, baseline = works[first]().double(), min(found[first].processor)
    for name, seconds in found.items():
        difference = ((works[name]().double() - expected).norm() / expected.norm()).item()
        fastest = min(seconds.processor)
        rate, wall = f"{operations / fastest / 1e9:.0f}", f"{operations / min(seconds.wall) / 1e9:.0f}"
        print_row(title, name, rate, wall, f"{baseline / fastest:.2f}", f"{difference:.0e}")


def with_kernels(work: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The same work in the context of the package's predictions."""

    def run() -> torch.Tensor:
        with processor_kernels("cpu"):
            return work()

    return run


def linear_ways(tokens: int, inner: int, outer: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to compute a linear layer."""
    inputs, weight, bias = torch.randn(1, tokens, inner), torch.randn(outer, inner), torch.randn(outer)
    packed = weight.to_mkldnn()
    half = [tensor.bfloat16() for tensor in (inputs, weight, bias)]
    return {
        "torch": lambda: functional.linear(inputs, weight, bias),
        "s5_hf": with_kernels(lambda: functional.linear(inputs, weight, bias)),
        "oneDNN, packed": lambda: functional.linear(inputs.to_mkldnn(), packed, bias).to_dense(),
        "torch, bf16": lambda: functional.linear(*half),
    }


def convolution_ways(side: int, inner: int, outer: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to compute a convolution of single pixels, as the decoder has them."""
    inputs, weight, bias = torch.randn(1, inner, side, side), torch.randn(outer, inner, 1, 1), torch.randn(outer)
    half = [tensor.bfloat16() for tensor in (inputs, weight, bias)]
    return {
        "torch": lambda: functional.conv2d(inputs, weight, bias),
        "s5_hf": with_kernels(lambda: functional.conv2d(inputs, weight, bias)),
        "torch, bf16": lambda: functional.conv2d(*half),
    }


def attention_ways(tokens: int, heads: int, channels: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to compute attention."""
    parts = torch.randn(1, tokens, 3, heads, channels).permute(2, 0, 3, 1, 4).unbind(0)
    half = [part.bfloat16() for part in parts]
    attend = functional.scaled_dot_product_attention
    return {
        "torch": lambda: attend(*parts),
        "s5_hf": with_kernels(lambda: attend(*parts)),
        "torch, bf16": lambda: attend(*half),
        "s5_hf, bf16": with_kernels(lambda: attend(*half)),
    }


def with_gradient(work: Callable[[], torch.Tensor], parts: Sequence[torch.Tensor]) -> Callable[[], torch.Tensor]:
    """Some work and its gradients by its operands, which it returns one after the other."""

    def run() -> torch.Tensor:
        result = work()
        found = torch.autograd.grad(result, parts, torch.ones_like(result))
        return torch.cat([gradient.flatten() for gradient in found])

    return run


def attention_gradient_ways(tokens: int, heads: int, channels: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to compute attention together with its gradient."""
    whole = torch.randn(1, tokens, 3, heads, channels).permute(2, 0, 3, 1, 4).unbind(0)
    parts = [part.detach().requires_grad_() for part in whole]
    half = [part.bfloat16().requires_grad_() for part in whole]
    attend = functional.scaled_dot_product_attention
    return {
        "torch": with_gradient(lambda: attend(*parts), parts),
        "s5_hf": with_gradient(with_kernels(lambda: attend(*parts)), parts),
        "torch, bf16": with_gradient(lambda: attend(*half), half),
        "s5_hf, bf16": with_gradient(with_kernels(lambda: attend(*half)), half),
    }


def enlargement_gradient_ways(side: int, channels: int) -> dict[str, Callable[[], torch.Tensor]]:
    """Ways to enlarge a map, as the neck of the ViT does, together with the gradient."""
    image = torch.randn(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    operands = image, torch.randn(channels, channels, 2, 2), torch.randn(channels)
    parts = [operand.requires_grad_() for operand in operands]
    half = [operand.detach().bfloat16().requires_grad_() for operand in operands]
    enlarge = partial(functional.conv_transpose2d, stride=2)
    return {
        "torch": with_gradient(lambda: enlarge(*parts), parts),
        "s5_hf": with_gradient(with_kernels(lambda: enlarge(*parts)), parts),
        "torch, bf16": with_gradient(lambda: enlarge(*half), half),
        "s5_hf, bf16": with_gradient(with_kernels(lambda: enlarge(*half)), half),
    }


def compare_forward_passes(vit: S5ViTConfig, tokens: int, repeats: int) -> None:
    """Rows of linear layers, a convolution and attention."""
    width, inner, heads = vit.hidden_size, vit.intermediate_size, vit.num_attention_heads
    shapes = {"qkv": (width, 3 * width), "projection": (width, width), "fc1": (width, inner), "fc2": (inner, width)}
    for title, (columns, rows) in shapes.items():
        compare(title, linear_ways(tokens, columns, rows), 2 * tokens * columns * rows, repeats)
    side, channels = 64, 512
    compare("1 x 1", convolution_ways(side, width, channels), 2 * side**2 * width * channels, repeats)
    compare("attention", attention_ways(tokens, heads, width // heads), 4 * tokens**2 * width, repeats)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--tokens", type=int, default=1024, help="1024 are those of an image of 512 px")
    parser.add_argument("--repeats", type=int, default=6)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vit = S5ViTConfig.from_size(arguments.size)
    width, heads, tokens = vit.hidden_size, vit.num_attention_heads, arguments.tokens
    print(f"{processor_in_words()}, {torch_in_words()}, {tokens} tokens, fastest of {arguments.repeats}\n")
    print_head("product", "way", "GFLOP/s, processor time", "GFLOP/s, wall", "speed / torch", "difference")
    with torch.inference_mode():
        compare_forward_passes(vit, tokens, arguments.repeats)
    ways = attention_gradient_ways(tokens, heads, width // heads)
    compare("attention, its gradient", ways, 12 * tokens**2 * width, arguments.repeats)
    ways = enlargement_gradient_ways(64, width)
    compare("enlargement, its gradient", ways, 24 * 64**2 * width**2, arguments.repeats)
    print(f"\npeak memory {peak_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
