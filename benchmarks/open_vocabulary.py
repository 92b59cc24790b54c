"""SimFeatUp's adaptive convolution and up-sampler: seconds, memory and images per second.

    python benchmarks/open_vocabulary.py                       # on the CPU, or a GPU if there is one; minutes
    python benchmarks/open_vocabulary.py --parts convolution   # one of convolution, upsampler, model
    OMP_NUM_THREADS=1 python benchmarks/open_vocabulary.py --channels 512 --sampled-channels 16

"convolution" is what a 224 px window needs in its last step: 512 channels, kernels of 11 x 11, random numbers. The
baseline is the obvious form: unfold all neighbours, then einsum. It would take 12 GB for every copy, and einsum makes
one, so it runs on some of the channels, and its time and memory are multiplied: both are proportional to the channels
(such rows say "extrapolated"). "upsampler" is the whole of SimFeatUp, 16 times the grid. "model" is SegEarth-OV of
CLIP ViT-B/16 with random weights on windows of 224 px. Time is processor time on the CPU, the shortest of some turns;
memory is what a call adds to the peak of a process of its own.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from measuring import argument_parser, in_own_process, now, peak_bytes, print_head, print_row, torch_in_words
from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SimFeatUpUpsampler
from s5_hf.modeling.adaptive_convolution import adaptive_convolution

OBVIOUS, OURS = "unfold, einsum", "s5_hf"
DIAMETER = 11
UPSAMPLERS = ("none", "bilinear", "jbu_stack", "jbu_one")


def obvious_convolution(source: Tensor, kernels: Tensor) -> Tensor:
    """All neighbours unfolded."""
    batch_size, taps, height, width = kernels.shape
    patches = functional.unfold(source, DIAMETER).view(batch_size, source.shape[1], taps, height, width)
    return torch.einsum("bcphw,bphw->bchw", patches, kernels)


def convolution(name: str, channels: int, size: int, training: bool, device: str) -> Callable[[], object]:
    """A call that is to be measured."""
    generator = torch.Generator().manual_seed(0)
    padded = size + DIAMETER - 1
    source = torch.randn(1, channels, padded, padded, generator=generator).to(device).requires_grad_(training)
    kernels = torch.rand(1, DIAMETER**2, size, size, generator=generator).to(device).requires_grad_(training)
    function = obvious_convolution if name == OBVIOUS else adaptive_convolution

    def call() -> None:
        output = function(source, kernels)
        if training:
            output.sum().backward()

    return call


def seconds(call: Callable[[], object], repeats: int, device: str) -> float:
    """The shortest of some turns, without the first: processor time, or on a GPU time."""
    clock = (lambda: now(device)) if device.startswith("cuda") else time.process_time
    found = []
    for _ in range(repeats + 1):
        start = clock()
        call()
        found.append(clock() - start)
    return min(found[1:])


def added_memory(words: list[str]) -> float:
    """GiB that a call adds to the peak of a process of its own."""
    return in_own_process(["--memory-of", *words])


def memory_of(name: str, channels: int, size: int, training: bool, device: str) -> float:
    """The same in this process."""
    call = convolution(name, channels, size, training, device)
    before = peak_bytes(device)
    call()
    return (peak_bytes(device) - before) / 2**30


def print_convolution(arguments: argparse.Namespace) -> None:
    """Both forms, forward and with the gradient."""
    print_head("pass", "contestant", "seconds", "memory, GiB", "time / s5_hf", "memory / s5_hf")
    for training in (False, True):
        rows = {}
        for name in (OURS, OBVIOUS):
            channels = arguments.sampled_channels if name == OBVIOUS else arguments.channels
            factor = arguments.channels / channels
            measured = (name, channels, arguments.size, training, arguments.device)
            time_taken = seconds(convolution(*measured), arguments.repeats, arguments.device) * factor
            memory = added_memory([name, str(channels), str(arguments.size), str(int(training)), arguments.device])
            rows[name] = (time_taken, memory * factor, factor > 1)
        for name, (time_taken, memory, extrapolated) in rows.items():
            print_row(
                "forward and backward" if training else "forward",
                f"{name}, extrapolated" if extrapolated else name,
                f"{time_taken:.2f}",
                f"{memory:.2f}",
                f"{time_taken / rows[OURS][0]:.1f}",
                f"{memory / rows[OURS][1]:.1f}",
            )


def print_upsampler(arguments: argparse.Namespace) -> None:
    """SimFeatUp as a whole."""
    print_head("up-sampler", "pass", "seconds / window", "windows/s")
    grid = arguments.size // 16
    features = torch.randn(1, arguments.channels, grid, grid, device=arguments.device)
    guidance = torch.randn(1, 3, arguments.size, arguments.size, device=arguments.device)
    for kind in UPSAMPLERS[2:]:
        upsampler = SimFeatUpUpsampler(arguments.channels, kind).to(arguments.device).eval()

        def inference(upsampler: SimFeatUpUpsampler = upsampler) -> None:
            with torch.no_grad():
                upsampler(features, guidance)

        def training(upsampler: SimFeatUpUpsampler = upsampler) -> None:
            upsampler(features, guidance).sum().backward()

        for name, call in (("forward", inference), ("forward and backward", training)):
            taken = seconds(call, arguments.repeats, arguments.device)
            print_row(kind, name, f"{taken:.2f}", f"{1 / taken:.2f}")


def print_model(arguments: argparse.Namespace) -> None:
    """SegEarth-OV on windows."""
    print_head("up-sampler", "seconds / window", "windows/s", "time / bilinear")
    config = CLIPConfig(vision_config={"patch_size": 16})
    clip = CLIPModel(config).eval()
    classes = [f"class {index}" for index in range(8)]
    taken: dict[str, float] = {}
    windows = torch.randn(1, 3, 224, 224, device=arguments.device)
    for kind in UPSAMPLERS:
        model = SegEarthOVForSemanticSegmentation.from_clip(clip, upsampler=kind, classes=classes)
        model = model.to(arguments.device).eval()

        def call(model: SegEarthOVForSemanticSegmentation = model) -> None:
            with torch.no_grad():
                model(windows)

        taken[kind] = seconds(call, arguments.repeats, arguments.device)
    for kind, needed in taken.items():
        print_row(kind, f"{needed:.2f}", f"{1 / needed:.2f}", f"{needed / taken['bilinear']:.2f}")


PARTS = {"convolution": print_convolution, "upsampler": print_upsampler, "model": print_model}


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--sampled-channels", type=int, default=32, help="of the obvious form")
    parser.add_argument("--size", type=int, default=224, help="side of the window in pixels, a multiple of 16")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory-of", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.memory_of:
        name, channels, size, training, device = arguments.memory_of
        print(memory_of(name, int(channels), int(size), bool(int(training)), device))
        return
    for part in arguments.parts:
        print(
            f"\n{part}: {arguments.size} px, {arguments.channels} channels, {arguments.device}, {torch_in_words()}\n"
        )
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
