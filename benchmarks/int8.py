"""Weights of 8 bits: what they cost in accuracy and gain in time and size, for a segmenter and for a detector.

Each contestant predicts the same images, in one process on one thread; the time is processor time. onnxruntime
quantises an exported file (`quantize_dynamic`: weights of matrix products int8, activations at run time), torchao the
model in memory (the linear layers, alike). Convolutions stay in float32 with both.

    s5-hf export my-segmenter segmenter.onnx
    s5-hf export my-detector detector.onnx --suppression after
    python benchmarks/int8.py --segmenter my-segmenter --segmenter-file segmenter.onnx --masks DATA/val \\
        --detector my-detector --detector-file detector.onnx --boxes DATA/val
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from measuring import argument_parser
from s5_hf.dataset_builders.annotations import as_columns, parse_dota_text
from s5_hf.metrics import OrientedAveragePrecision, SegmentationMetrics
from s5_hf.predictors import OnnxDetector, OnnxSegmenter, load_detector, load_segmenters
from s5_hf.predictors.normalization import normalize_pixels

Score = Callable[[Any], float]


def contestants(
    model: str, file: Path, load: Callable[[str], Any], open_file: Callable[[Path], Any]
) -> Iterator[tuple]:
    """Name, predictor and bytes of the weights of each contestant."""
    float_model = load(model)
    yield "torch, float32", float_model, weight_bytes(float_model.model)
    if find_spec("torchao"):
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantized = load(model)
        quantize_(quantized.model, Int8DynamicActivationInt8WeightConfig())
        yield "torchao, int8", quantized, weight_bytes(quantized.model)
    yield "onnxruntime, float32", open_file(file), file.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "int8.onnx"
        quantize_file(file, small)
        yield "onnxruntime, int8", open_file(small), small.stat().st_size


def quantize_file(file: Path, target: Path) -> None:
    """Write an ONNX file of this package with the weights of its matrix products in 8 bits."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(file)
    del model.graph.value_info[:]  # shapes of weights that the quantisation turns round, and then stumbles over
    quantize_dynamic(model, target, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)


def weight_bytes(model: torch.nn.Module) -> int:
    """What the weights of a model take as a file."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), Path(folder) / "weights")
        return (Path(folder) / "weights").stat().st_size


def images_of(folder: Path, count: int) -> list[Path]:
    """The first images of a folder."""
    return sorted((folder / "images").iterdir())[:count]


def pixels_of(path: Path, predictor: Any, multiple: int) -> torch.Tensor:
    """An image as the input of a network, cut to a multiple of the patch."""
    image = np.asarray(Image.open(path).convert("RGB"))
    height, width = (side // multiple * multiple for side in image.shape[:2])
    pixels = torch.from_numpy(image[:height, :width].copy()).permute(2, 0, 1)[None]
    return normalize_pixels(pixels, predictor)


def segmentation_score(folder: Path, count: int) -> Score:
    """Mean intersection over union of a segmenter, percent."""

    def score(segmenter: Any) -> float:
        metric = SegmentationMetrics(labels=list(segmenter.id2label.values()))
        for path in images_of(folder, count):
            classes = segmenter.predict(pixels_of(path, segmenter, 16)).argmax(dim=1)[0]
            mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png"))[
                : classes.shape[0], : classes.shape[1]
            ]
            metric.add(prediction=classes.numpy(), reference=mask)
        return 100 * metric.compute()["mIoU"]

    return score


def detection_score(folder: Path, count: int) -> Score:
    """AP50 of a detector, percent."""

    def score(detector: Any) -> float:
        metric = OrientedAveragePrecision(labels=list(detector.labels))
        for path in images_of(folder, count):
            (found,) = detector.detect(pixels_of(path, detector, 1), 0.05, 0.1, 2000)
            text = (folder / "labelTxt" / f"{path.stem}.txt").read_text(encoding="utf-8")
            objects = as_columns(parse_dota_text(text, path.stem), detector.labels, (), path.stem)
            metric.add_image(path.stem, found, {"boxes": objects["obb"], "labels": objects["category"]})
        return 100 * metric.compute()["map_50"]

    return score


def main() -> None:
    parser = argument_parser(__doc__)
    for kind, data in (("segmenter", "masks"), ("detector", "boxes")):
        parser.add_argument(f"--{kind}", help="folder of the model")
        parser.add_argument(f"--{kind}-file", type=Path, help="the same, exported")
        parser.add_argument(f"--{data}", type=Path, help=f"folder with images and {data}")
    parser.add_argument("--count", type=int, default=20, help="images")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | contestant | score | processor time | size |")
    print("|---|---|---|---|---|")
    runs = []
    if arguments.segmenter:
        load = lambda name: load_segmenters(name, devices=["cpu"])[0]  # noqa: E731
        runs.append(("segmenter", load, OnnxSegmenter, segmentation_score(arguments.masks, arguments.count)))
    if arguments.detector:
        load = lambda name: load_detector(name, device="cpu")  # noqa: E731
        runs.append(("detector", load, OnnxDetector, detection_score(arguments.boxes, arguments.count)))
    for kind, load, open_file, score in runs:
        first = None
        model, file = getattr(arguments, kind), getattr(arguments, f"{kind}_file")
        for name, predictor, size in contestants(model, file, load, open_file):
            start = time.process_time()
            value = score(predictor)
            spent = time.process_time() - start
            first = first or (spent, size)
            print(f"| {kind} | {name} | {value:.2f} | {spent / first[0]:.2f} | {size / first[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
