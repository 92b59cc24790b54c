"""Maps of whole scenes: peak memory, time per megapixel and throughput from 1,000 to 20,000 pixels a side.

    python benchmarks/scenes.py                                    # all sizes; some 15 minutes on 2 cores
    python benchmarks/scenes.py --sizes 1000 2000                  # two minutes
    python benchmarks/scenes.py --device cuda --precision bf16 --hidden-size 768 --decoder-channels 512

Every row is a process of its own. `streamed` is `segment_scene`, from a tiled GeoTIFF to a tiled GeoTIFF with
overviews; the baseline `whole` keeps image, sums and weights of the whole scene in memory, in the same windows and
batches, and writes nothing. `tiler` is what terratorch's `tiled_inference` does at the same windows and batches,
written here after its source (terratorch itself is not run): the whole scene as normalised float32, the forward pass
of the network by itself, logits blended by cosine ramps over the overlaps, and, as its user then does, a GeoTIFF
written at the end; `tiler, our forward` has the forward pass of this package, to tell windows from networks. `bare` is
the forward pass of the same number of windows in the same batches on one batch that stays in memory, measured in the
same process before, after and between the batches of the scene, one for every four, and taken out of the time of the
scene. The goals: below 2 GB at 20,000 pixels, level time per megapixel, and bare / streamed time of at least 0.9; on a
busy machine the ratio of processor times tells more. Scenes up to 5,000 pixels are measured `--rounds` times, and the
table holds the medians. A scene of 1,000 pixels needs 9 windows per megapixel, larger ones 6.3 to 6.8: the time per
window shows what the size of a scene costs. Scenes are made by repetition of a synthetic one.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    argument_parser,
    in_own_process,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    torch_in_words,
)
from s5_hf.freed_memory import keep_freed_memory
from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig
from s5_hf.predictors import TorchSegmenter
from s5_hf.predictors.normalization import normalize_pixels
from s5_hf.predictors.torch_segmenter import logits_at_size
from s5_hf.scenes import WindowSettings, segment_scene
from s5_hf.scenes.segmentation.scene_probabilities import scene_grid
from s5_hf.scenes.window_grid import blending_weights
from s5_hf.synthetic import synthetic_scene

WINDOW = 512
BATCHES_PER_BARE = 4
LARGEST_REPEATED = 5000


def write_scene(path: Path, side: int) -> None:
    """A tiled GeoTIFF of `side` x `side` pixels, written tile row by tile row."""
    tile = synthetic_scene(size=1024, seed=0).image.transpose(2, 0, 1)
    profile = {
        "driver": "GTiff",
        "width": side,
        "height": side,
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": from_origin(390000, 5820000, 0.5, 0.5),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "zlevel": 1,
        "BIGTIFF": "IF_SAFER",
    }
    with rasterio.Env(GDAL_CACHEMAX=2**28), rasterio.open(path, "w", **profile) as dataset:
        for top in range(0, side, 1024):
            height = min(1024, side - top)
            rows = np.tile(tile[:, :height], (1, 1, -(-side // 1024)))[:, :, :side]
            dataset.write(rows, window=Window(0, top, side, height))


def make_segmenter(arguments: argparse.Namespace) -> TorchSegmenter:
    torch.manual_seed(0)
    vit = S5ViTConfig(
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden_size // 64,
        image_size=WINDOW,
    )
    labels = [f"class {index}" for index in range(arguments.classes)]
    config = S5SegmentationConfig(
        backbone_config=vit, tasks={"scene": labels}, decoder_channels=arguments.decoder_channels
    )
    return TorchSegmenter(S5ForSemanticSegmentation(config), device=arguments.device, precision=arguments.precision)


def make_settings(arguments: argparse.Namespace) -> WindowSettings:
    return WindowSettings(window=WINDOW, overlap=arguments.overlap, batch_size=arguments.batch_size)


def streamed(segmenter: TorchSegmenter, scene: Path, output: Path, arguments: argparse.Namespace) -> None:
    segment_scene(segmenter, scene, output, settings=make_settings(arguments), progress=arguments.progress)


@torch.inference_mode()
def whole(segmenter: TorchSegmenter, scene: Path, output: Path, arguments: argparse.Namespace) -> None:
    """The baseline: the sums of the whole scene at once."""
    with rasterio.open(scene) as dataset:
        image = torch.from_numpy(dataset.read())
    grid = scene_grid(image.shape[1], image.shape[2], make_settings(arguments))
    weights = blending_weights(grid.window_height, grid.window_width).to(arguments.device)
    sums = torch.zeros(arguments.classes, *image.shape[1:], device=arguments.device)
    weight_sums = torch.zeros(image.shape[1:], device=arguments.device)
    windows = list(grid)
    for start in range(0, len(windows), arguments.batch_size):
        places = [
            (slice(window.top, window.bottom), slice(window.left, window.right))
            for window in windows[start : start + arguments.batch_size]
        ]
        pixels = torch.stack([image[:, rows, columns] for rows, columns in places])
        probabilities = segmenter.predict(normalize_pixels(pixels, segmenter)).softmax(dim=1)
        for (rows, columns), window_probabilities in zip(places, probabilities, strict=True):
            sums[:, rows, columns] += window_probabilities * weights
            weight_sums[rows, columns] += weights
    (sums / weight_sums).argmax(dim=0).to(torch.uint8).cpu()


def ramp_weights(side: int, stride: int) -> torch.Tensor:
    """Weights `(side, side)` of terratorch's tiler: 1, and at the borders cosine ramps as long as the overlap."""
    overlap, along = min(side // 2, side - stride), torch.ones(side)
    ramp = torch.cos(torch.pi * (torch.arange(overlap) + 1) / (overlap + 1)) / 2 + 0.5
    along[:overlap], along[side - overlap :] = ramp.flip(0), ramp
    return along[:, None] * along + 1e-6


def tiler(segmenter: TorchSegmenter, scene: Path, output: Path, arguments: argparse.Namespace) -> None:
    """Terratorch's algorithm with the network by itself."""
    network = segmenter.model

    def predict(pixel_values: torch.Tensor) -> torch.Tensor:
        with torch.autocast(arguments.device, torch.bfloat16, enabled=segmenter.precision == "bf16"):
            return logits_at_size(network(pixel_values).logits, pixel_values.shape[2:])

    tile(segmenter, predict, scene, output, arguments)


def tiler_with_our_forward(
    segmenter: TorchSegmenter, scene: Path, output: Path, arguments: argparse.Namespace
) -> None:
    """Terratorch's algorithm with the forward pass of this package."""
    tile(segmenter, segmenter.predict, scene, output, arguments)


@torch.inference_mode()
def tile(
    segmenter: TorchSegmenter,
    predict: Callable[[torch.Tensor], torch.Tensor],
    scene: Path,
    output: Path,
    arguments: argparse.Namespace,
) -> None:
    """Terratorch's algorithm: everything of the scene in memory, in float32."""
    with rasterio.open(scene) as dataset:
        profile, image = dataset.profile, normalize_pixels(torch.from_numpy(dataset.read())[None], segmenter).cpu()[0]
    grid = scene_grid(image.shape[1], image.shape[2], make_settings(arguments))
    weights = ramp_weights(WINDOW, round(WINDOW * (1 - arguments.overlap)))
    sums, counts = torch.zeros(arguments.classes, *image.shape[1:]), torch.zeros(image.shape[1:])
    places = [(slice(window.top, window.bottom), slice(window.left, window.right)) for window in grid]
    chips = [image[:, rows, columns] for rows, columns in places]
    for start in range(0, len(chips), arguments.batch_size):
        part = slice(start, start + arguments.batch_size)
        logits = predict(torch.stack(chips[part]).to(arguments.device)).float().cpu()
        for (rows, columns), found in zip(places[part], logits, strict=True):
            sums[:, rows, columns] += found * weights
            counts[rows, columns] += weights
    classes = (sums / counts).argmax(dim=0).to(torch.uint8).numpy()
    with rasterio.open(output, "w", **{**profile, "count": 1}) as dataset:
        dataset.write(classes, 1)


WAYS = {"streamed": streamed, "whole": whole, "tiler": tiler, "tiler, our forward": tiler_with_our_forward}


class Bare:
    """A forward pass on a batch that stays in memory, timed now and then between those of a scene."""

    def __init__(self, segmenter: TorchSegmenter, batch: torch.Tensor) -> None:
        self.times: list[np.ndarray] = []  # of each: seconds on the clock, and of the processor
        self._predict, self._batch, self._calls = segmenter.predict, batch, 0
        segmenter.predict = self._predict_of_scene

    @torch.inference_mode()
    def measure(self, repeats: int) -> None:
        for _ in range(repeats):
            self._wait()
            start = now()
            self._predict(self._batch)
            self._wait()
            self.times.append(now() - start)

    def _predict_of_scene(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits = self._predict(pixel_values)
        self._calls += 1
        if self._calls % BATCHES_PER_BARE == 0:
            self.measure(1)
        return logits

    def _wait(self) -> None:
        if self._batch.is_cuda:
            torch.cuda.synchronize()


def now() -> np.ndarray:
    """Time on the clock and of the processor, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def measure(arguments: argparse.Namespace) -> None:
    """One row, in this process; prints JSON."""
    segmenter = make_segmenter(arguments)
    windows = len(scene_grid(arguments.side, arguments.side, make_settings(arguments)))
    bare = Bare(segmenter, torch.randn(arguments.batch_size, 3, WINDOW, WINDOW, device=arguments.device))
    bare.measure(2)  # warm-up
    bare.times.clear()
    bare.measure(arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        start = now()
        WAYS[arguments.measure](segmenter, arguments.scene, Path(folder) / "map.tif", arguments)
        spent = now() - start - np.sum(bare.times[arguments.repeats :], axis=0)
    bare.measure(arguments.repeats)
    bare_spent = np.mean(bare.times, axis=0) * windows / arguments.batch_size
    row = {"windows": windows, "seconds": spent[0], "processor": spent[1], "peak": peak_bytes(arguments.device)}
    print(json.dumps({**row, "time_ratio": bare_spent[0] / spent[0], "processor_ratio": bare_spent[1] / spent[1]}))


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 5000, 10000, 20000])
    parser.add_argument("--whole-up-to", type=int, default=5000, help="largest scene for the baselines")
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--hidden-size", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--decoder-channels", type=int, default=64)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5, help="of the bare forward, before and after")
    parser.add_argument("--rounds", type=int, default=3, help="processes per row, for scenes up to 5,000 px")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--folder", type=Path, help="keeps the scenes here, in place of a temporary folder")
    parser.add_argument("--progress", action="store_true", help="show the bar over the rows")
    for hidden in ("--measure", "--scene", "--side"):
        kind = {"--scene": Path, "--side": int}.get(hidden, str)
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    return parser.parse_args()


def run_row(way: str, side: int, scene: Path) -> dict[str, float]:
    """`measure` in a process of its own, with the options of this one."""
    return in_own_process([*sys.argv[1:], "--measure", way, "--side", str(side), "--scene", str(scene)])


def measure_ways(arguments: argparse.Namespace, side: int, scene: Path) -> dict[str, dict[str, float]]:
    """Medians of each way over rounds, in which they take turns."""
    ways = WAYS if side <= arguments.whole_up_to else ["streamed"]
    rounds = range(arguments.rounds if side <= LARGEST_REPEATED else 1)
    rows = [{way: run_row(way, side, scene) for way in ways} for _ in rounds]
    return {way: {name: np.median([row[way][name] for row in rows]) for name in rows[0][way]} for way in ways}


def print_table(arguments: argparse.Namespace, folder: Path) -> None:
    print(
        f"{arguments.classes} classes, ViT of width {arguments.hidden_size} and {arguments.layers} blocks, "
        f"windows of {WINDOW} px with overlap {arguments.overlap:g}, batches of {arguments.batch_size}, "
        f"{arguments.device}, {arguments.precision}, {processor_in_words()}, {torch_in_words()}\n"
    )
    measures = ("wall, s", "processor time, s", "s / megapixel", "s / window", "bare / way, wall", "processor time")
    print_head("side, px", "way", "windows", *measures, "tiler / way, wall", "processor time", "peak, GB")
    for side in arguments.sizes:
        scene = folder / f"scene_{side}.tif"
        if not scene.exists():
            write_scene(scene, side)
        found = measure_ways(arguments, side, scene)
        for way, row in found.items():
            tiler = found.get("tiler")
            ratios = [f"{tiler[kind] / row[kind]:.2f}" if tiler else "-" for kind in ("seconds", "processor")]
            print_row(
                f"{side:,}",
                way,
                f"{row['windows']:.0f}",
                f"{row['seconds']:.2f}",
                f"{row['processor']:.2f}",
                f"{row['seconds'] / (side**2 / 1e6):.3f}",
                f"{row['seconds'] / row['windows']:.3f}",
                f"{row['time_ratio']:.2f}",
                f"{row['processor_ratio']:.2f}",
                *ratios,
                f"{row['peak'] / 1e9:.2f}",
            )


def main() -> None:
    arguments = parse_arguments()
    keep_freed_memory()  # as the programs of this package do; for all ways
    if arguments.measure:
        measure(arguments)
    elif arguments.folder is not None:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        print_table(arguments, arguments.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            print_table(arguments, Path(folder))


if __name__ == "__main__":
    main()
