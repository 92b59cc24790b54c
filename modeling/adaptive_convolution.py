"""Sums over the neighbours of every pixel with weights of its own, in plain PyTorch, bounded memory and no copies.

The weights of `TILE` outputs in a row for one row of taps are a narrow band in a matrix. That matrix times the pixels
below it, which lie one after another in memory, is a small dense product; products of many tiles are one batched
call. The same products, read backwards, compare every pixel with its neighbours, and both are the other's gradient.
"""

from collections.abc import Iterator

import torch
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional

TILE = 8  # outputs in a row that share a matrix
CACHED_VALUES = 1 << 18  # of outputs, which stay in a processor's cache while the rows of taps are added
LAUNCHED_VALUES = 1 << 24  # the same on a GPU, where few large products are fast


def adaptive_convolution(source: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Weigh the neighbours of every pixel with that pixel's own kernel, the same for all channels.

    Beside its result it needs one copy of `source`; for the gradient nothing else is kept.

    Args:
        source: `(batch, channels, height + diameter - 1, width + diameter - 1)`, padded.
        kernels: `(batch, diameter ** 2, height, width)`, the taps in rows from the top left.

    Returns:
        `(batch, channels, height, width)`: the sum over taps of kernel times source moved by the tap. Its memory has
        the channels last.

    Raises:
        ValueError: if the sizes do not go together.
    """
    diameter = round(kernels.shape[1] ** 0.5)
    margin = diameter - 1
    expected = (kernels.shape[0], kernels.shape[2] + margin, kernels.shape[3] + margin)
    if diameter**2 != kernels.shape[1] or (source.shape[0], *source.shape[2:]) != expected:
        raise ValueError(
            f"kernels {tuple(kernels.shape)} do not fit a source {tuple(source.shape)}: expected a square number of "
            "taps, the same batch, and a source larger by the side of a kernel less one"
        )
    return AdaptiveConvolution.apply(source, kernels.to(source.dtype))


def neighbour_products(centres: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """The inner product of every pixel with each of its neighbours.

    Args:
        centres: `(batch, channels, height, width)`.
        source: `(batch, channels, height + diameter - 1, width + diameter - 1)`, padded.

    Returns:
        `(batch, diameter ** 2, height, width)`, the taps in rows from the top left.

    Raises:
        ValueError: if the sizes do not go together.
    """
    margins = [side - inner for side, inner in zip(source.shape[2:], centres.shape[2:], strict=True)]
    if source.shape[:2] != centres.shape[:2] or margins[0] != margins[1] or margins[0] < 0:
        raise ValueError(
            f"centres {tuple(centres.shape)} do not fit a source {tuple(source.shape)}: expected the same batch and "
            "channels, and a source that is larger by as many rows as columns"
        )
    return NeighbourProducts.apply(centres, source)


# The two rules look alike because autograd prescribes their form: each is the other's gradient.


class AdaptiveConvolution(torch.autograd.Function):
    """The weighted sums, and their gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, source: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """As `adaptive_convolution`."""
        ctx.save_for_backward(source, kernels)
        return weighted_sums(source, kernels)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """A kernel's gradient compares pixels with neighbours; the source's has every kernel turned round."""
        source, kernels = ctx.saved_tensors
        of_source = spread_sums(gradient, kernels) if ctx.needs_input_grad[0] else None
        of_kernels = tap_products(gradient, source) if ctx.needs_input_grad[1] else None
        return of_source, of_kernels


class NeighbourProducts(torch.autograd.Function):
    """The inner products, and their gradient."""

    @staticmethod
    def forward(ctx: FunctionCtx, centres: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """As `neighbour_products`."""
        ctx.save_for_backward(centres, source)
        return tap_products(centres, source)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The gradients are weights: of the neighbours for a centre, of the centres for a neighbour."""
        centres, source = ctx.saved_tensors
        gradient = gradient.to(source.dtype)
        of_centres = weighted_sums(source, gradient) if ctx.needs_input_grad[0] else None
        of_source = spread_sums(centres, gradient) if ctx.needs_input_grad[1] else None
        return of_centres, of_source


def weighted_sums(source: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """`adaptive_convolution` without a gradient."""
    batch_size, taps, height, width = kernels.shape
    diameter, channels = round(taps**0.5), source.shape[1]
    images, tiles = lay_out(source, diameter)
    kernels = functional.pad(kernels, (0, tiles * TILE - width)).unflatten(1, (diameter, diameter))
    sums = source.new_empty(batch_size, height, tiles * TILE, channels)
    for image, top, rows in blocks(sums):
        weights = kernels[image, :, :, top : top + rows].reshape(diameter, diameter, rows * tiles, TILE)
        bands = to_bands(weights.permute(0, 2, 3, 1))
        block = sums[image, top : top + rows].view(rows * tiles, TILE, channels)
        for tap_row, band in enumerate(bands):
            windows = neighbours(images[image], top + tap_row, rows, tiles, diameter)
            torch.baddbmm(block, band, windows, beta=min(tap_row, 1), out=block)  # 0: what it held does not count
    return sums[:, :, :width].permute(0, 3, 1, 2)


def tap_products(centres: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """`neighbour_products` without a gradient."""
    batch_size, channels, height, width = centres.shape
    diameter = source.shape[2] - height + 1
    images, tiles = lay_out(source, diameter)
    centres = functional.pad(centres.permute(0, 2, 3, 1), (0, 0, 0, tiles * TILE - width)).contiguous()
    products = centres.new_empty(batch_size, diameter, diameter, height, tiles * TILE)
    for image, top, rows in blocks(centres):
        block = centres[image, top : top + rows].view(rows * tiles, TILE, channels)
        for tap_row in range(diameter):
            windows = neighbours(images[image], top + tap_row, rows, tiles, diameter)
            weights = from_bands(torch.bmm(block, windows.transpose(1, 2)), diameter)
            products[image, tap_row, :, top : top + rows] = weights.permute(2, 0, 1).reshape(diameter, rows, -1)
    return products[..., :width].flatten(1, 2)


def spread_sums(values: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The transpose of `weighted_sums`: every pixel is handed to its neighbours with its own weights.

    Args:
        values: `(batch, channels, height, width)`.
        kernels: `(batch, diameter ** 2, height, width)`.

    Returns:
        `(batch, channels, height + diameter - 1, width + diameter - 1)`.
    """
    diameter = round(kernels.shape[1] ** 0.5)
    margin = diameter - 1
    batch_size, _, height, width = kernels.shape
    # What a place receives through a tap comes from the pixel that lies the tap before it.
    turned = kernels.new_zeros(batch_size, diameter, diameter, height + margin, width + margin)
    for row in range(diameter):
        for column in range(diameter):
            received = turned[:, margin - row, margin - column]
            received[:, row : row + height, column : column + width] = kernels[:, row * diameter + column]
    return weighted_sums(functional.pad(values, (margin,) * 4), turned.flatten(1, 2))


def lay_out(source: torch.Tensor, diameter: int) -> tuple[torch.Tensor, int]:
    """Pixels one after another with their channels, `(batch, pixels, channels)`, and the tiles of a row.

    Rows have whole tiles. What a tile reads beyond the end of its row is the next one, with weights of 0; behind the
    last row are zeros.
    """
    batch_size, channels, height, width = source.shape
    tiles = -(-width // TILE)
    pixels = source.new_zeros(batch_size, height * tiles * TILE + diameter - 1, channels)
    rows = pixels[:, : height * tiles * TILE].view(batch_size, height, tiles * TILE, channels)
    rows[:, :, :width] = source.permute(0, 2, 3, 1)
    return pixels, tiles


def neighbours(pixels: torch.Tensor, top: int, rows: int, tiles: int, diameter: int) -> torch.Tensor:
    """What the tiles of some rows read of a row of taps: a view `(rows * tiles, TILE + diameter - 1, channels)`."""
    part = pixels[top * tiles * TILE : (top + rows) * tiles * TILE + diameter - 1]
    return part.unfold(0, TILE + diameter - 1, TILE).transpose(1, 2)


def to_bands(weights: torch.Tensor) -> torch.Tensor:
    """Weights `(..., TILE, diameter)` as matrices `(..., TILE, TILE + diameter - 1)`, each row one further right."""
    side = TILE + weights.shape[-1] - 1
    # Rows with TILE zeros behind them, read as rows that are shorter by one.
    return functional.pad(weights, (0, TILE)).flatten(-2)[..., : TILE * side].unflatten(-1, (TILE, side))


def from_bands(matrices: torch.Tensor, diameter: int) -> torch.Tensor:
    """The weights `(..., TILE, diameter)` that `to_bands` laid out."""
    longer = functional.pad(matrices.flatten(-2), (0, TILE)).unflatten(-1, (TILE, matrices.shape[-1] + 1))
    return longer[..., :diameter]


def blocks(rows_of_pixels: torch.Tensor) -> Iterator[tuple[int, int, int]]:
    """Image, first row, and number of rows of the parts of `(batch, height, ...)` that are computed at a time."""
    batch_size, height = rows_of_pixels.shape[:2]
    values = CACHED_VALUES if rows_of_pixels.device.type == "cpu" else LAUNCHED_VALUES
    most = max(1, values // max(rows_of_pixels[0, 0].numel(), 1))
    for image in range(batch_size):
        for top in range(0, height, most):
            yield image, top, min(most, height - top)
