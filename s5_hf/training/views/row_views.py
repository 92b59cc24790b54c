"""Strong views of rows that consist of one or several images."""

from collections.abc import Iterable

import torch

from .strong import StrongAugmentation, draw_strong_parameters, strong_view

NEXT_IMAGE = 0x632BE59BD9B4E019
"""What the seed of an image of a row is away from that of the image before it."""


def strong_rows(
    images: torch.Tensor,
    seeds: Iterable[int],
    augmentation: StrongAugmentation,
    colors: tuple[int, int, int] | None = (0, 1, 2),
    view: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One strong view of each row. Every image of a row is changed by itself; a CutMix box belongs to the row.

    Args:
        images: float `(batch, channels, height, width)`, or `(batch, images, channels, height, width)`, in 0..1.
        seeds: of the rows.
        augmentation: ranges and probabilities.
        colors: positions of red, green and blue; `None` where no channels are colours.
        view: number of the view.

    Returns:
        The views, of the shape of `images`, and the boxes on the host, int `(batch, 4)`.
    """
    single = images.flatten(0, -4)  # one behind the other; single images stay as they are
    count = len(single) // len(images)
    own_seeds = [(int(seed) + index * NEXT_IMAGE) % 2**63 for seed in seeds for index in range(count)]
    drawn = draw_strong_parameters(own_seeds, images.shape[-1], augmentation, view, images.shape[-3])
    return strong_view(single, drawn, colors).reshape(images.shape), drawn.box[::count]
