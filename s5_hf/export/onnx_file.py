"""ONNX files: written by PyTorch's exporter, read by onnxruntime."""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .graph import ExportGraph
from .metadata import ExportMetadata
from .program_file import trace, without_cache

if TYPE_CHECKING:
    import onnxruntime

INPUT, OUTPUT = "pixel_values", "logits"


def require_onnx(packages: Sequence[str] = ("onnx", "onnxscript", "onnxruntime")) -> None:
    """Raise an ImportError that says what to install if a package is missing."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ImportError(f'ONNX files need {", ".join(missing)}. Install with: pip install "s5_hf[onnx]"')


def write_onnx(graph: ExportGraph, metadata: ExportMetadata, path: Path) -> None:
    """Write an ONNX file; weights beyond 1.5 GB go into `<name>.data` beside it, as one file holds at most 2 GB."""
    import onnx_ir

    program = trace(graph)
    with _quiet_exporter(), without_cache():
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    model = exported.model
    sizes = {"pixel_values": ("batch", None, "height", "width"), "image_sizes": ("batch", None), **graph.outputs}
    names = [*graph.example()[0], *graph.outputs]
    for value, name in zip((*model.graph.inputs, *model.graph.outputs), names, strict=True):
        value.name = name
        if name in sizes:
            known = zip(sizes[name], value.shape, strict=True)
            value.shape = onnx_ir.Shape([size if given is None else given for given, size in known])
    model.producer_name, model.producer_version = "s5_hf", metadata.version
    model.metadata_props.update(metadata.to_strings())
    exported.save(path)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without the exporter's remarks on packages that this graph has no use for, and on its own old calls."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)


def open_session(path: str | Path, providers: Sequence[str] | None = None) -> "onnxruntime.InferenceSession":
    """Open an ONNX file.

    Args:
        path: the file.
        providers: of onnxruntime, best first; by default all that are installed.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if onnxruntime is missing.
        ValueError: if it is not an ONNX file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no ONNX file {path}")
    require_onnx(("onnxruntime",))
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    chosen = list(providers) if providers is not None else onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(str(path), providers=chosen)
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        raise ValueError(f"{path} is not an ONNX file that can be run: {error}") from error


def open_onnx(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from float32 `pixel_values` to logits, run by the file on the CPU."""
    run = open_outputs(path)
    return lambda pixel_values: run({INPUT: pixel_values})[OUTPUT]


def open_outputs(path: Path) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """A function from the named inputs of a file to its named outputs, run on the CPU."""
    session = open_session(path, ["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


__all__ = ["INPUT", "OUTPUT", "open_onnx", "open_outputs", "open_session", "require_onnx", "write_onnx"]
