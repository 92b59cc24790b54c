"""Overlapping windows over a scene, and the weights with which their predictions blend into one.

Coordinates are pixels, x to the right and y down; a window's right and bottom are exclusive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..imaging.windows import Window, window_starts

__all__ = [
    "BLENDINGS",
    "Window",
    "WindowGrid",
    "axis_weights",
    "blending_weights",
    "normalized_axis_weights",
    "window_starts",
]

BLENDINGS = ("cosine", "gaussian", "flat")
"""The kinds of blending weights."""


@dataclass(frozen=True)
class WindowGrid:
    """Windows of one size over a scene, row after row.

    Attributes:
        tops, lefts: starts of the windows along y and x.
        window_height, window_width: of each window. Windows reach beyond a scene that is smaller.
    """

    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window_height: int
    window_width: int

    @classmethod
    def over(
        cls, height: int, width: int, window: tuple[int, int], stride: tuple[int, int] | None = None
    ) -> "WindowGrid":
        """The grid over a scene.

        Args:
            height, width: of the scene.
            window: height and width of a window.
            stride: pixels from one window to the next along y and x; the size of the window if left out.

        Raises:
            ValueError: as `window_starts`.
        """
        stride = window if stride is None else stride
        tops = window_starts(height, window[0], stride[0])
        lefts = window_starts(width, window[1], stride[1])
        return cls(tuple(tops), tuple(lefts), window[0], window[1])

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < len(self):
            raise IndexError(f"the grid has windows 0 to {len(self) - 1}, got {index}")
        top, left = self.tops[index // len(self.lefts)], self.lefts[index % len(self.lefts)]
        return Window(left, top, left + self.window_width, top + self.window_height)

    def first_window_of(self, row: int, batch_size: int) -> int:
        """The window from which to start for the rows from `row` on: the first of a batch, where all windows count."""
        reach = (index for index, top in enumerate(self.tops) if top + self.window_height > row)
        needed = next(reach, len(self.tops)) * len(self.lefts)
        return needed - needed % batch_size

    def describe(self, index: int, scene: str) -> str:
        """A window of a scene in words: where it starts, in pixels."""
        window = self[index]
        return f"the window at row {window.top}, column {window.left} of {scene}"


def blending_weights(height: int, width: int, kind: str = "cosine") -> torch.Tensor:
    """Weights of the pixels of a window, float32 `(height, width)`: the product of `axis_weights` along y and x.

    Raises:
        ValueError: as `axis_weights`.
    """
    return axis_weights(height, kind)[:, None] * axis_weights(width, kind)[None, :]


def axis_weights(size: int, kind: str = "cosine") -> torch.Tensor:
    """Weights of the pixels along one axis of a window, float32 `(size,)`, strictly positive, symmetric, at most 1.

    Args:
        size: of the window in pixels.
        kind: `"cosine"`, the raised cosine sin^2(pi * (i + 1/2) / size), which at half overlap adds up to 1;
            `"gaussian"` with a standard deviation of size / 8 (as nnU-Net, Isensee et al. 2021); or `"flat"`, all 1.

    Raises:
        ValueError: the size is below 1, or the kind is unknown.
    """
    if kind not in _AXIS_WEIGHTS:
        raise ValueError(f"blending must be one of {', '.join(BLENDINGS)}, got {kind!r}")
    if size < 1:
        raise ValueError(f"a window must have at least 1 pixel along each side, got {size}")
    centers = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    return _AXIS_WEIGHTS[kind](centers).float()


def normalized_axis_weights(starts: Sequence[int], size: int, kind: str = "cosine") -> torch.Tensor:
    """Weights along one axis for each window of a grid, divided by their sum at every pixel.

    As the weights of a window are a product of its axes and the grid is one too, the blended value of a pixel is the
    plain sum of prediction * weight along y * weight along x: no sum of weights has to be kept.

    Args:
        starts: of the windows, as `window_starts` gives them.
        size: of a window.
        kind: as `axis_weights`.

    Returns:
        float32 `(len(starts), size)`; the entries that belong to one pixel add up to 1.
    """
    weights = axis_weights(size, kind).double()
    total = torch.zeros(max(starts) + size, dtype=torch.float64)
    for start in starts:
        total[start : start + size] += weights
    return torch.stack([weights / total[start : start + size] for start in starts]).float()


def _cosine(centers: torch.Tensor) -> torch.Tensor:
    return torch.sin(torch.pi * centers) ** 2


def _gaussian(centers: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * ((centers - 0.5) * 8) ** 2)


_AXIS_WEIGHTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "cosine": _cosine,
    "gaussian": _gaussian,
    "flat": torch.ones_like,
}
