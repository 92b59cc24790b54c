"""SimFeatUp's adaptive convolution and up-sampler, SegEarth-OV on windows and scenes: time, memory, images per second.

    python benchmarks/open_vocabulary.py                       # on the CPU, or a GPU if there is one; minutes
    python benchmarks/open_vocabulary.py --parts convolution   # one of convolution, upsampler, model, scene
    OMP_NUM_THREADS=1 python benchmarks/open_vocabulary.py --channels 512 --sampled-channels 16

"convolution" is what a 224 px window needs in its last step: 512 channels, kernels of 11 x 11, random numbers. The
baseline is the obvious form: unfold all neighbours, then einsum. It would take 12 GB for every copy, and einsum makes
one, so it runs on some of the channels, and its time and memory are multiplied: both are proportional to the channels
(such rows say "extrapolated"). "upsampler" is the whole of SimFeatUp, 16 times the grid. "model" is SegEarth-OV of
CLIP ViT-B/16 with random weights on windows of 224 px, and "scene" is the same through `segment_scene`, from a picture
to a GeoTIFF, once, each in a process of its own. Times are those of the shortest of some turns: of the processor, and
on the clock, which says little on a busy machine; ratios are of the former, on a GPU of the latter. Memory is what a
call adds to the peak of a process of its own, and for scenes the peak of the process.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from measuring import argument_parser, in_own_process, peak_bytes, print_head, print_row, take_turns, torch_in_words
from s5_hf.modeling import SegEarthOVForSemanticSegmentation, SimFeatUpUpsampler
from s5_hf.modeling.adaptive_convolution import adaptive_convolution
from s5_hf.predictors import TorchSegmenter
from s5_hf.scenes import segment_scene
from s5_hf.synthetic import synthetic_scene

OBVIOUS, OURS = "unfold, einsum", "s5_hf"
DIAMETER = 11
UPSAMPLERS = ("none", "bilinear", "jbu_stack", "jbu_one")
SECONDS = ("processor, s", "wall, s")


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


@dataclass(frozen=True)
class Cost:
    """Seconds of the processor and on the clock; `compared` are those that ratios are made of."""

    processor: float
    wall: float
    compared: float

    def times(self, factor: float) -> "Cost":
        return Cost(factor * self.processor, factor * self.wall, factor * self.compared)


def cost(call: Callable[[], object], repeats: int, device: str, warm_up: int = 1) -> Cost:
    """The shortest of some turns, without the first."""
    on_gpu = device.startswith("cuda")

    def work() -> None:
        call()
        if on_gpu:
            torch.cuda.synchronize()

    found = take_turns({"": work}, repeats, warm_up)[""]
    processor, wall = min(found.processor), min(found.wall)
    return Cost(processor, wall, wall if on_gpu else processor)


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
    print_head("pass", "contestant", *SECONDS, "memory, GiB", "time / s5_hf", "memory / s5_hf")
    for training in (False, True):
        rows = {}
        for name in (OURS, OBVIOUS):
            channels = arguments.sampled_channels if name == OBVIOUS else arguments.channels
            factor = arguments.channels / channels
            measured = (name, channels, arguments.size, training, arguments.device)
            taken = cost(convolution(*measured), arguments.repeats, arguments.device).times(factor)
            memory = added_memory([name, str(channels), str(arguments.size), str(int(training)), arguments.device])
            rows[name] = (taken, memory * factor, factor > 1)
        for name, (taken, memory, extrapolated) in rows.items():
            print_row(
                "forward and backward" if training else "forward",
                f"{name}, extrapolated" if extrapolated else name,
                *in_words(taken),
                f"{memory:.2f}",
                f"{taken.compared / rows[OURS][0].compared:.1f}",
                f"{memory / rows[OURS][1]:.1f}",
            )


def print_upsampler(arguments: argparse.Namespace) -> None:
    """SimFeatUp as a whole."""
    print_head("up-sampler", "pass", *SECONDS, "windows/s")
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
            taken = cost(call, arguments.repeats, arguments.device)
            print_row(kind, name, *in_words(taken), f"{1 / taken.compared:.2f}")


def print_model(arguments: argparse.Namespace) -> None:
    """SegEarth-OV on windows."""
    print_head("up-sampler", *SECONDS, "windows/s", "time / bilinear")
    taken: dict[str, Cost] = {}
    windows = torch.randn(1, 3, 224, 224, device=arguments.device)
    for kind in UPSAMPLERS:
        model = make_model(kind).to(arguments.device)

        def call(model: SegEarthOVForSemanticSegmentation = model) -> None:
            with torch.no_grad():
                model(windows)

        taken[kind] = cost(call, arguments.repeats, arguments.device)
    for kind, needed in taken.items():
        ratio = needed.compared / taken["bilinear"].compared
        print_row(kind, *in_words(needed), f"{1 / needed.compared:.2f}", f"{ratio:.2f}")


def make_model(upsampler: str) -> SegEarthOVForSemanticSegmentation:
    """CLIP ViT-B/16 with random weights and 8 classes."""
    clip = CLIPModel(CLIPConfig(vision_config={"patch_size": 16}))
    classes = [f"class {index}" for index in range(8)]
    model = SegEarthOVForSemanticSegmentation.from_clip(clip, upsampler=upsampler, classes=classes).eval()
    model.query_features = torch.nn.functional.normalize(torch.randn(8, clip.config.projection_dim), dim=1)
    return model


def print_scene(arguments: argparse.Namespace) -> None:
    """Whole scenes, each in a process of its own."""
    print_head("up-sampler", "scene, px", *SECONDS, "megapixels/s", "time / bilinear", "peak memory, GiB")
    size = str(arguments.scene_size)
    rows = {kind: in_own_process(["--scene-of", kind, size, arguments.device]) for kind in UPSAMPLERS}
    for kind, row in rows.items():
        taken, baseline = Cost(*row["cost"]), Cost(*rows["bilinear"]["cost"])
        print_row(
            kind,
            size,
            *in_words(taken),
            f"{arguments.scene_size**2 / 1e6 / taken.compared:.4f}",
            f"{taken.compared / baseline.compared:.2f}",
            f"{row['peak'] / 2**30:.2f}",
        )


def scene_of(kind: str, size: int, device: str) -> None:
    """One row of scenes, in this process; prints JSON."""
    segmenter = TorchSegmenter(make_model(kind), device=device, precision="fp32")
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.png"
        Image.fromarray(synthetic_scene(size=size, seed=0).image).save(scene)
        output = Path(folder) / "map.tif"
        taken = cost(lambda: segment_scene(segmenter, scene, output, progress=False), 1, device, warm_up=0)
        row = {"cost": [taken.processor, taken.wall, taken.compared], "peak": peak_bytes(device)}
    print(json.dumps(row))


def in_words(taken: Cost) -> tuple[str, str]:
    """The cells below `SECONDS`."""
    return f"{taken.processor:.2f}", f"{taken.wall:.2f}"


PARTS = {"convolution": print_convolution, "upsampler": print_upsampler, "model": print_model, "scene": print_scene}


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--sampled-channels", type=int, default=32, help="of the obvious form")
    parser.add_argument("--size", type=int, default=224, help="side of the window in pixels, a multiple of 16")
    parser.add_argument("--scene-size", type=int, default=512, help="side of the scene in pixels")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory-of", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--scene-of", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.memory_of:
        name, channels, size, training, device = arguments.memory_of
        print(memory_of(name, int(channels), int(size), bool(int(training)), device))
        return
    if arguments.scene_of:
        kind, size, device = arguments.scene_of
        scene_of(kind, int(size), device)
        return
    for part in arguments.parts:
        print(
            f"\n{part}: {arguments.size} px, {arguments.channels} channels, {arguments.device}, {torch_in_words()}\n"
        )
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
