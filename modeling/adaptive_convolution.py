"""Convolution with a kernel of its own for every pixel, in plain PyTorch and in bounded memory."""

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

TILE = 8  # side of the tiles of outputs that become one matrix product


def adaptive_convolution(source: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """Weigh the neighbours of every pixel with that pixel's own kernel, the same for all channels.

    A tile of outputs depends on the tile and a margin: its kernels, laid out as one sparse matrix, times the pixels
    there are one dense product. This is several times faster than a sum over shifted images, and holds the
    neighbours of one row of tiles only, in training, too (they are gathered again for the gradient).

    Args:
        source: `(batch, channels, height + diameter - 1, width + diameter - 1)`, padded.
        kernels: `(batch, diameter ** 2, height, width)`, the taps in rows from the top left.

    Returns:
        `(batch, channels, height, width)`: the sum over taps of kernel times source moved by the tap.

    Raises:
        ValueError: if the sizes do not go together.
    """
    batch_size, taps, height, width = kernels.shape
    diameter = round(taps**0.5)
    expected = (batch_size, height + diameter - 1, width + diameter - 1)
    if diameter**2 != taps or (source.shape[0], *source.shape[2:]) != expected:
        raise ValueError(
            f"kernels {tuple(kernels.shape)} do not fit a source {tuple(source.shape)}: expected a square number of "
            "taps, the same batch, and a source larger by the side of a kernel less one"
        )
    bottom, right = -height % TILE, -width % TILE
    source = functional.pad(source, (0, right, 0, bottom))
    kernels = functional.pad(kernels, (0, right, 0, bottom))
    places = matrix_places(diameter, source.device)
    rows = []
    for top in range(0, height + bottom, TILE):
        strip = source[:, :, top : top + TILE + diameter - 1]
        of_strip = kernels[:, :, top : top + TILE]
        if torch.is_grad_enabled() and (strip.requires_grad or of_strip.requires_grad):
            rows.append(checkpoint(convolve_strip, strip, of_strip, places, use_reentrant=False))
        else:
            rows.append(convolve_strip(strip, of_strip, places))
    return torch.cat(rows, dim=2)[:, :, :height, :width]


def matrix_places(diameter: int, device: torch.device) -> torch.Tensor:
    """Where the kernels of a tile lie in its flattened matrix `(TILE ** 2, (TILE + diameter - 1) ** 2)`.

    Returns:
        int64 `(TILE ** 2 * diameter ** 2,)`, by output pixel and then by tap.
    """
    side = TILE + diameter - 1
    tile, tap = torch.arange(TILE, device=device), torch.arange(diameter, device=device)
    axis = tile[:, None] + tap  # the row, or column, of the margin that a tap of an output reads
    columns = axis[:, None, :, None] * side + axis[None, :, None, :]
    outputs = torch.arange(TILE**2, device=device).view(TILE, TILE, 1, 1)
    return (outputs * side**2 + columns).flatten()


def convolve_strip(strip: torch.Tensor, kernels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """One row of tiles: `(batch, channels, TILE + diameter - 1, ...)` to `(batch, channels, TILE, width)`."""
    batch_size, channels, side, _ = strip.shape
    taps, width = kernels.shape[1], kernels.shape[3]
    tiles = width // TILE
    windows = strip.unfold(3, side, TILE)  # (batch, channels, side, tiles, side)
    windows = windows.permute(0, 3, 2, 4, 1).reshape(batch_size * tiles, side * side, channels)
    values = kernels.view(batch_size, taps, TILE, tiles, TILE).permute(0, 3, 2, 4, 1)
    matrices = kernels.new_zeros(batch_size * tiles, TILE**2 * side**2)
    matrices = matrices.index_copy(1, places, values.reshape(batch_size * tiles, -1))
    outputs = torch.bmm(matrices.view(batch_size * tiles, TILE**2, side**2), windows)
    outputs = outputs.view(batch_size, tiles, TILE, TILE, channels)
    return outputs.permute(0, 4, 2, 1, 3).reshape(batch_size, channels, TILE, width)
