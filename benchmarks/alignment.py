"""What weights at unaligned addresses cost: a forward pass with weights at multiples of 64 bytes, and beside them.

    python benchmarks/alignment.py                                    # ViT-B at 512 px, some minutes
    python benchmarks/alignment.py --dtype bfloat16 --threads 2

Files of weights are mapped into memory as they lie on the disk. The contestants take turns in one process; a row gives
the medians over the turns, the ratio of processor times to the aligned model's with its quartiles, and the largest
difference of the outputs. The peak memory is that of all of them together.
"""

import argparse
import copy
from statistics import median, quantiles

import torch

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    argument_parser,
    make_segmenter,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s5_hf.modeling.aligned_weights import ALIGNMENT


def displaced(model: torch.nn.Module, offset: int) -> torch.nn.Module:
    """A copy with every parameter `offset` bytes behind a multiple of 64."""
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        size = parameter.numel() * parameter.element_size()
        room = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
        assert room.data_ptr() % ALIGNMENT == 0
        place = room[offset : offset + size].view(parameter.dtype).view(parameter.shape)
        parameter.data = place.copy_(parameter.data)
    return model


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--size", default="b", help="ViT size: ti, s, b, l or h (default b)")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--offsets", type=int, nargs="+", default=[8, 24, 36], help="bytes behind a multiple of 64")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    dtype = getattr(torch, arguments.dtype)
    aligned = make_segmenter(arguments.size, arguments.image_size).to(dtype).eval()
    images = torch.randn(arguments.batch_size, 3, arguments.image_size, arguments.image_size).to(dtype)
    # A second aligned copy shows how far the measurement itself wanders.
    models = {0: displaced(aligned, 0)} | {offset: displaced(aligned, offset) for offset in arguments.offsets}
    print(
        f"{processor_in_words()}, ViT-{arguments.size.upper()} + UPerNet, {arguments.image_size} px, "
        f"batch {arguments.batch_size}, {arguments.dtype}, {torch_in_words()}, "
        f"median of {arguments.repeats}\n"
    )
    works = {"aligned": aligned, **models}
    with torch.inference_mode():
        expected = aligned(images).logits
        differences = {offset: (model(images).logits - expected).abs().max() for offset, model in models.items()}
        found = take_turns(
            {name: lambda model=model: model(images) for name, model in works.items()}, arguments.repeats
        )
    ends = ("quartiles", "largest difference of the logits")
    print_head("bytes behind a multiple of 64", "processor time, s", "wall, s", "time / aligned", *ends)
    baseline = found.pop("aligned")
    for offset, times in found.items():
        ratios = [time / other for time, other in zip(times.processor, baseline.processor, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        cells = f"{median(times.processor):.2f}", f"{median(times.wall):.2f}", f"{middle:.3f}"
        print_row(str(offset), *cells, f"{low:.3f} to {high:.3f}", f"{differences[offset]:.1e}")
    print(f"\npeak memory {peak_bytes() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
