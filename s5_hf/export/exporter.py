"""A model to one file: merged, traced, written, read back, compared, and only then given its name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from transformers import AutoConfig, AutoImageProcessor, PretrainedConfig

from ..conversion.model_check import load_checked, require_finite_weights
from ..files.atomic import temporary_folder
from ..hub.model_folder import require_model_folder
from ..hub.normalization import processor_input
from ..modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
)
from .detection_comparison import compare_detections
from .detector_graph import BoxGraph, ObjectGraph
from .graph import ExportGraph
from .metadata import ExportMetadata
from .onnx_file import open_onnx, open_outputs, require_onnx, write_onnx
from .program_file import open_program, write_program
from .size_free_graph import SizeFreeGraph

Shape = tuple[int, int, int, int]
Runner = Callable[[np.ndarray], np.ndarray]

TOLERANCE = 1e-4
"""Largest difference between the logits of the file and of the model, per unit of the largest logit (at least 1)."""

_WRITERS = {"onnx": write_onnx, "torch-export": write_program}
_READERS: dict[str, Callable[[Path], Runner]] = {"onnx": open_onnx, "torch-export": open_program}
_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
FORMATS = tuple(_SUFFIXES)

Suppression = Literal["inside", "after"]
"""Whether the non-maximum suppression of objects is part of a detector's file, or comes after it."""


@dataclass(frozen=True)
class ExportReport:
    """What was written and how it compares.

    Attributes:
        path: the file; for ONNX beyond 1.5 GB, its weights lie beside it in `<name>.data`.
        size: bytes of all that was written.
        metadata: what the file says about itself.
        differences: for each compared input shape, the largest absolute difference between the logits; of a detector,
            the share of the boxes or objects that the file and the model do not have in common.
    """

    path: Path
    size: int
    metadata: ExportMetadata
    differences: dict[Shape, float]


def export_model(
    model: "str | Path | S5ForSemanticSegmentation | S5ForOrientedObjectDetection",
    output: str | Path,
    file_format: str = "onnx",
    task: str | None = None,
    processor: S5ImageProcessor | None = None,
    suppression: Suppression = "inside",
    candidates: int = 1000,
) -> ExportReport:
    """Write a segmenter as ONNX or as a program of torch.export, or an oriented detector as ONNX.

    The file holds the dense model of one task in float32. Any batch; any height and width that are multiples of the
    patch size (of 32 for a detector; torch-export: three patches or more). A segmenter takes `pixel_values`
    `(batch, channels, height, width)` and gives `logits` `(batch, labels, height, width)`; for detectors see
    [`ObjectGraph`] and [`BoxGraph`]. The file is run on several shapes and compared with the model before it gets its
    name, and removed if it differs.

    Args:
        model: the model, or a name or folder of one.
        output: the file, ending in `.onnx` or `.pt2` (torch-export). An existing one is replaced.
        file_format: `"onnx"` or `"torch-export"`.
        task: which task, of a model with several.
        processor: how images are normalised; by default that of the folder, ImageNet's for a model without one.
        suppression: of a detector: `"inside"`, and the file gives objects; `"after"`, and it gives all boxes, for
            a non-maximum suppression of your own. `s5-hf detect` runs both.
        candidates: of a detector with the suppression inside, how many pairs of a box and a class take part in it.

    Raises:
        FileNotFoundError: if there is no such model folder.
        ImportError: if ONNX packages are missing.
        ValueError: for an unknown format or task, a missing task, a wrong ending, a model of another kind, weights
            that are missing or not finite, or a normalisation that divides by 0.
        RuntimeError: if the file does not give the model's numbers.
    """
    output = Path(output)
    _check_target(output, file_format)
    _check_detection_options(suppression, candidates)
    if file_format == "onnx":
        require_onnx()
    if not isinstance(model, (S5ForSemanticSegmentation, S5ForOrientedObjectDetection)):
        name, model = model, _load(model)
        processor = processor or _processor_of(name)
    else:
        name = type(model).__name__
        _require_kind(model.config, name)
        require_finite_weights(model, name)
    if isinstance(model, S5ForOrientedObjectDetection) and file_format != "onnx":
        raise ValueError(f"{name} is a detector, which is exported as onnx only, not as {file_format}")
    settings = processor_input(processor or S5ImageProcessor(), name)
    dense = model.merge_experts(task).cpu().float().eval()
    if isinstance(dense, S5ForSemanticSegmentation):
        graph: ExportGraph = SizeFreeGraph(dense)
        metadata = ExportMetadata.of(dense, settings)
    else:
        graph = ObjectGraph(dense, candidates) if suppression == "inside" else BoxGraph(dense)
        kind = "objects" if suppression == "inside" else "boxes"
        metadata = ExportMetadata.of(dense, settings, graph.cell, kind)

    with temporary_folder(output) as folder:
        written = folder / output.name
        _WRITERS[file_format](graph, metadata, written)
        if isinstance(graph, BoxGraph):
            differences = compare_detections(dense, open_outputs(written), graph)
        else:
            differences = compare(dense, _READERS[file_format](written), file_format)
        parts = sorted(folder.iterdir(), key=lambda part: part == written)  # the file that names the others last
        size = sum(part.stat().st_size for part in parts)
        for part in parts:
            part.replace(output.parent / part.name)
    return ExportReport(output, size, metadata, differences)


def compare(dense: S5ForSemanticSegmentation, run: Runner, name: str) -> dict[Shape, float]:
    """The largest difference between the logits of a file and of its model, for each of several shapes.

    Raises:
        RuntimeError: if one is beyond `TOLERANCE`, or no number.
    """
    generator = np.random.default_rng(0)
    differences = {}
    for shape in _compared_shapes(dense):
        pixel_values = generator.standard_normal(shape, dtype=np.float32)
        with torch.inference_mode():
            expected = dense(torch.from_numpy(pixel_values)).logits.numpy()
        difference = float(np.abs(run(pixel_values) - expected).max())
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:
            raise RuntimeError(
                f"the {name} file does not give the model's logits: for the input {shape} they differ by up to "
                f"{difference:.2g}, allowed are {allowed:.2g}; the file was removed"
            )
        differences[shape] = difference
    return differences


def _compared_shapes(dense: S5ForSemanticSegmentation) -> list[Shape]:
    """Shapes of all kinds: the size of training, a batch, even and odd grids, both ways oblong, small."""
    vit = dense.backbone.config
    patch, full = vit.patch_size, vit.image_size // vit.patch_size
    grids = [(1, full, full), (2, 6, 10), (1, 15, 11), (3, 3, 4)]
    return [(batch, vit.num_channels, rows * patch, columns * patch) for batch, rows, columns in grids]


def _check_target(output: Path, file_format: str) -> None:
    if file_format not in FORMATS:
        raise ValueError(f"unknown format {file_format!r}; known formats: {', '.join(FORMATS)}")
    if output.suffix.lower() != _SUFFIXES[file_format]:
        raise ValueError(f"a file of the format {file_format} ends in {_SUFFIXES[file_format]}, got {output}")
    if output.is_dir():
        raise IsADirectoryError(f"{output} is a folder, expected the name of a file to write")


def _check_detection_options(suppression: str, candidates: int) -> None:
    if suppression not in get_args(Suppression):
        raise ValueError(f"unknown suppression {suppression!r}; known: {', '.join(get_args(Suppression))}")
    if candidates < 1:
        raise ValueError(f"candidates must be at least 1, got {candidates}")


def _load(name: str | Path) -> S5ForSemanticSegmentation | S5ForOrientedObjectDetection:
    require_model_folder(name)
    config = AutoConfig.from_pretrained(name)
    _require_kind(config, name)
    is_detector = isinstance(config, S5DetectionConfig)
    return load_checked(S5ForOrientedObjectDetection if is_detector else S5ForSemanticSegmentation, name)


def _require_kind(config: PretrainedConfig, name: str | Path) -> None:
    """Raise a ValueError for another kind of model, such as one of changes."""
    if config.model_type not in (S5SegmentationConfig.model_type, S5DetectionConfig.model_type):
        raise ValueError(
            f"{name} is a {config.model_type!r} model, expected a segmenter or a detector of this package"
        )


def _processor_of(name: str | Path) -> S5ImageProcessor | None:
    """The image processor beside a model's weights; None where there is none."""
    try:
        return AutoImageProcessor.from_pretrained(name)
    except OSError:
        return None


__all__ = ["FORMATS", "TOLERANCE", "ExportReport", "Suppression", "compare", "export_model"]
