"""What a graph says of its inputs and outputs, so that it can be traced and written."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.export import Dim

__all__ = ["ExportGraph", "free_images"]

_MAXIMUM_BATCH, _MAXIMUM_CELLS = 65536, 65536


class ExportGraph(nn.Module):
    """A network that an exporter can trace.

    Attributes:
        outputs: names of the outputs, and of their sizes; a number or a name for each dimension, None for that which
            the graph has.
    """

    outputs: ClassVar[dict[str, tuple[str | None, ...]]]

    def example(self) -> tuple[dict[str, Tensor], dict[str, dict[int, Dim] | None]]:
        """Inputs of some size by their names, in order, and which of their dimensions are free."""
        raise NotImplementedError


def free_images(cell: int) -> dict[int, Dim]:
    """The free dimensions of images whose sides are multiples of `cell`, three or more.

    With fewer, the coarsest map of the pyramid is one pixel wide, which torch.export treats as a case of its own.
    """
    return {
        0: Dim("batch", min=1, max=_MAXIMUM_BATCH),
        2: cell * Dim("rows", min=3, max=_MAXIMUM_CELLS),
        3: cell * Dim("columns", min=3, max=_MAXIMUM_CELLS),
    }
