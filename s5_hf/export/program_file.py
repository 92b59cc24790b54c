"""Programs of torch.export (`.pt2`)."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from .metadata import ExportMetadata
from .size_free_graph import SizeFreeGraph

METADATA_FILE = "s5_hf.json"
"""The extra file inside a `.pt2` that holds the metadata."""

_MAXIMUM_BATCH, _MAXIMUM_PATCHES = 65536, 65536


def trace(graph: SizeFreeGraph) -> ExportedProgram:
    """The graph with free batch, height and width. Grids have three rows and columns or more.

    With fewer, the coarsest map of the pyramid is one pixel wide, which torch.export treats as a case of its own.
    """
    vit = graph.model.backbone.config
    patch = vit.patch_size
    # Any shape serves as the example, so long as no two of its numbers agree by chance.
    example = torch.zeros(2, vit.num_channels, 5 * patch, 7 * patch)
    free = {
        0: Dim("batch", min=1, max=_MAXIMUM_BATCH),
        2: patch * Dim("rows", min=3, max=_MAXIMUM_PATCHES),
        3: patch * Dim("columns", min=3, max=_MAXIMUM_PATCHES),
    }
    with torch.no_grad():
        return torch.export.export(graph, (example,), dynamic_shapes={"pixel_values": free}, strict=False)


def write_program(graph: SizeFreeGraph, metadata: ExportMetadata, path: Path) -> None:
    """Write a `.pt2` that `torch.export.load` reads."""
    torch.export.save(trace(graph), path, extra_files={METADATA_FILE: json.dumps(metadata.to_strings())})


def open_program(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function from float32 `pixel_values` to logits, run by the file."""
    module = torch.export.load(path).module()

    def run(pixel_values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return module(torch.from_numpy(pixel_values)).numpy()

    return run


__all__ = ["METADATA_FILE", "open_program", "trace", "write_program"]
