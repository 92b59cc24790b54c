"""Strong views per second on one core of a processor, and the shares of their operations.

    python benchmarks/strong_views.py

The baseline computes hues as they are usually written in torch, with `max` over the channels, `where` and the
remainder; the results are equal to the bit. Both take turns in one process on one thread.
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch

import s5_hf.training.views.strong as strong

# What is shared among the benchmarks is in measuring.py; its names are listed in each.
from measuring import (
    argument_parser,
    peak_bytes,
    print_head,
    print_row,
    processor_in_words,
    take_turns,
    torch_in_words,
)
from s5_hf.training.views.strong_draws import StrongAugmentation, draw_strong_parameters


def usual_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """A shift of the hue by way of HSV."""
    red, green, blue = images.unbind(1)
    value, brightest = images.max(dim=1)
    chroma = value - images.min(dim=1).values
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    from_red, from_green, from_blue = (green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe
    sixths = torch.where(brightest == 0, from_red, torch.where(brightest == 1, from_green, from_blue))
    positions = [(offset + sixths + 6 * shift[:, 0]) % 6 for offset in (5, 3, 1)]
    return torch.stack([value - chroma * torch.minimum(at, 4 - at).clamp_(0, 1) for at in positions], dim=1)


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--batches", type=int, default=4, help="per turn, each with other draws")
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    size, batch, count = arguments.image_size, arguments.batch_size, arguments.batch_size * arguments.batches
    images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    draws = [
        draw_strong_parameters(range(start, start + batch), size, StrongAugmentation())
        for start in range(0, count, batch)
    ]
    factors, sigma = torch.linspace(0.6, 1.4, batch)[:, None, None, None], torch.linspace(0.2, 2, batch)
    new_hue = strong.adjust_hue

    def views(hue: object) -> None:
        strong.ADJUST["hue"] = hue
        for parameters in draws:
            strong.strong_view(images, parameters)
        strong.ADJUST["hue"] = new_hue

    def one_by_one(change: Callable[..., torch.Tensor], amounts: torch.Tensor) -> Callable[[], None]:
        """A change of every image, as the views on a processor make it."""

        def work() -> None:
            for image, amount in zip(images.split(1), amounts.split(1), strict=True):
                change(image, amount)

        return work

    works = {"views, usual hue": lambda: views(usual_hue), "views, s5_hf": lambda: views(new_hue)}
    works |= {"usual hue": one_by_one(usual_hue, factors - 1), "hue, s5_hf": one_by_one(new_hue, factors - 1)}
    for name in ("brightness", "contrast", "saturation"):
        works[name] = one_by_one(strong.ADJUST[name], factors)
    works["blur"] = one_by_one(strong.gaussian_blur, sigma)
    found = take_turns(works, arguments.repeats)
    print(f"{size} px, {processor_in_words()}, {torch_in_words()}, peak memory {peak_bytes() / 2**30:.2f} GiB\n")
    print_head("work", "ms/image, processor time", "of the fastest turn", "ms/image, wall", "images/s")
    for name, seconds in found.items():
        made = count if name.startswith("views") else batch
        times = [1e3 * value / made for value in (median(seconds.processor), min(seconds.processor))]
        wall = 1e3 * median(seconds.wall) / made
        print_row(name, *(f"{value:.2f}" for value in [*times, wall]), f"{1e3 / times[1]:.0f}")


if __name__ == "__main__":
    main()
