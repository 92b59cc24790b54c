"""Programs of torch.export (`.pt2`)."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch.export import ExportedProgram

from .graph import ExportGraph
from .metadata import ExportMetadata

METADATA_FILE = "s5_hf.json"
"""The extra file inside a `.pt2` that holds the metadata."""


def trace(graph: ExportGraph) -> ExportedProgram:
    """The graph with free batch, height and width."""
    example, free = graph.example()
    with torch.no_grad(), without_cache():
        return torch.export.export(graph, tuple(example.values()), dynamic_shapes=free, strict=False)


def without_cache() -> AbstractContextManager[None]:
    """Tracing without PyTorch's cache of the shapes that operations give.

    Every size of our graphs is free, so that hardly a call is like an earlier one, and to look for one costs more than
    to work the shapes out: up to a third of the time of an export.
    """
    from torch._dynamo import config  # takes a second, which only those who export should spend

    return config.patch(fake_tensor_cache_enabled=False)


def write_program(graph: ExportGraph, metadata: ExportMetadata, path: Path) -> None:
    """Write a `.pt2` that `torch.export.load` reads."""
    torch.export.save(trace(graph), path, extra_files={METADATA_FILE: json.dumps(metadata.to_strings())})


def open_program(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from float32 `pixel_values` to logits, run by the file."""
    module = torch.export.load(path).module()

    def run(pixel_values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(pixel_values)).numpy()

    return run


__all__ = ["METADATA_FILE", "open_program", "trace", "without_cache", "write_program"]
