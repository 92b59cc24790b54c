"""The random numbers of strong views: drawn for each sample from its own seed, in the worker that makes its row.

Source: S5 (arXiv 2508.12409), section "S4 Pre-training", with the ranges of the official code. They travel with the
batch as one tensor, so that the process that trains has nothing to draw and one thing to move.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ...modeling.host_values import on_device

OPERATIONS = ("brightness", "contrast", "saturation", "hue")
RGB_CHANNELS = 3
NEXT_IMAGE = 0x632BE59BD9B4E019
"""What the seed of an image of a row is away from that of the image before it."""


# Numbers with defaults, as in `OrientedView`, but of other pixels: batches of tensors on the device.
@dataclass(frozen=True)
class StrongAugmentation:
    """Ranges and probabilities of the strong view; the defaults are the published ones.

    Attributes:
        jitter_probability: of colour jitter.
        brightness, contrast, saturation: factors lie between 1 minus this and 1 plus this.
        hue: shifts lie between minus this and plus this, as a fraction of the colour circle.
        grayscale_probability: of removing the colour.
        blur_probability: of Gaussian blur.
        blur_sigma: range of its standard deviation in pixels.
        cutmix_probability: of pasting a box.
        cutmix_area: range of the box's area, as a fraction of the image.
        cutmix_aspect: range of the box's ratio of height to width.
    """

    jitter_probability: float = 0.8
    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.25
    grayscale_probability: float = 0.2
    blur_probability: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    cutmix_probability: float = 0.5
    cutmix_area: tuple[float, float] = (0.02, 0.4)
    cutmix_aspect: tuple[float, float] = (0.3, 1 / 0.3)
    band_gain: float = 0.2
    band_gamma: float = 0.2
    band_offset: float = 0.1


@dataclass(frozen=True)
class StrongParameters:
    """The random parameters of each sample of a batch.

    Attributes:
        jitter: bool `(batch,)`, whether the colours are jittered.
        order: int `(batch, 4)`, the order of the operations, as positions in `OPERATIONS`.
        factors: float `(batch, 4)`, one per operation in the order of `OPERATIONS`.
        grayscale: bool `(batch,)`.
        sigma: float `(batch,)`, 0 for no blur.
        box: int `(batch, 4)`, top, left, bottom, right of the pasted box; all 0 for none.
        bands: float `(batch, channels, 3)`, gain, gamma and offset of each channel; `(batch, 0, 3)` for RGB images.
    """

    jitter: torch.Tensor
    order: torch.Tensor
    factors: torch.Tensor
    grayscale: torch.Tensor
    sigma: torch.Tensor
    box: torch.Tensor
    bands: torch.Tensor

    def packed(self) -> torch.Tensor:
        """All of them as one tensor, float32 `(batch, numbers)`; float32 holds each without a rounding error."""
        flags = (flag[:, None] for flag in (self.jitter, self.grayscale, self.sigma))
        columns = (*flags, self.order, self.factors, self.box, self.bands.flatten(1))
        return torch.cat([column.float() for column in columns], dim=1)

    @classmethod
    def unpacked(cls, numbers: torch.Tensor) -> "StrongParameters":
        """What `packed` made one tensor of, on the device where that is."""
        widths = [1, 1, 1, 4, 4, 4]
        columns = numbers.split([*widths, numbers.shape[1] - sum(widths)], dim=1)
        jitter, grayscale, sigma, order, factors, box, bands = columns
        return cls(
            jitter=jitter[:, 0] > 0,
            order=order.long(),
            factors=factors,
            grayscale=grayscale[:, 0] > 0,
            sigma=sigma[:, 0],
            box=box.long(),
            bands=bands.reshape(len(numbers), bands.shape[1] // 3, 3),
        )

    def to(self, device: torch.device) -> "StrongParameters":
        """The same on a device, moved there in one transfer that the host does not wait for."""
        return self.unpacked(on_device(self.packed(), device))


@dataclass(frozen=True)
class StrongDraws:
    """Draws the parameters of all strong views of a row; can be pickled, so it runs in the worker that makes the row.

    Attributes:
        augmentation: ranges and probabilities.
        views: number of strong views.
    """

    augmentation: StrongAugmentation
    views: int = 1

    def __call__(self, seed: int, image: torch.Tensor) -> torch.Tensor:
        """Packed parameters, float32 `(views, images, numbers)`.

        Args:
            seed: of the row.
            image: `(channels, height, width)`, or `(images, channels, height, width)` for a row of several. Every
                image is changed by itself.
        """
        count = len(image) if image.ndim == 4 else 1
        seeds = [(seed + index * NEXT_IMAGE) % 2**63 for index in range(count)]
        size, channels = image.shape[-1], image.shape[-3]
        drawn = [draw_strong_parameters(seeds, size, self.augmentation, view, channels) for view in range(self.views)]
        return torch.stack([parameters.packed() for parameters in drawn])


def draw_strong_parameters(
    seeds: Iterable[int], image_size: int, augmentation: StrongAugmentation, view: int = 0, channels: int = 3
) -> StrongParameters:
    """Draw the parameters of one strong view for each sample.

    Args:
        seeds: of the samples.
        image_size: height and width of the images in pixels.
        augmentation: ranges and probabilities.
        view: number of the view, for methods that use several.
        channels: of the images.
    """
    rows = []
    for seed in seeds:
        # The weak view uses the seed itself; each strong view uses another one.
        generator = torch.Generator().manual_seed((int(seed) + 0x9E3779B9 * (view + 1)) % 2**63)
        row = _draw_sample(generator, image_size, augmentation)
        # Drawn last, and not at all for RGB, so that those images keep their draws.
        rows.append(row | {"bands": _draw_bands(generator, 0 if channels == RGB_CHANNELS else channels, augmentation)})
    return StrongParameters(**{name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def _draw_sample(generator: torch.Generator, image_size: int, augmentation: StrongAugmentation) -> dict:
    happens = torch.rand(4, generator=generator, dtype=torch.float64)
    spread = torch.tensor(
        [augmentation.brightness, augmentation.contrast, augmentation.saturation, augmentation.hue],
        dtype=torch.float64,
    )
    centre = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    factors = centre + spread * (2 * torch.rand(4, generator=generator, dtype=torch.float64) - 1)
    factors[:3].clamp_(min=0)  # a spread above 1 must not turn colours negative
    sigma = uniform(*augmentation.blur_sigma, generator)
    with_box = happens[3] < augmentation.cutmix_probability
    return {
        "jitter": happens[0] < augmentation.jitter_probability,
        "order": torch.randperm(len(OPERATIONS), generator=generator),
        "factors": factors.float(),
        "grayscale": happens[1] < augmentation.grayscale_probability,
        "sigma": torch.tensor(sigma if happens[2] < augmentation.blur_probability else 0.0),
        "box": torch.tensor(draw_box(generator, image_size, augmentation) if with_box else (0, 0, 0, 0)),
    }


def _draw_bands(generator: torch.Generator, channels: int, augmentation: StrongAugmentation) -> torch.Tensor:
    spread = torch.tensor([augmentation.band_gain, augmentation.band_gamma, augmentation.band_offset])
    draws = 2 * torch.rand(channels, 3, generator=generator) - 1
    return torch.tensor([1.0, 1.0, 0.0]) + spread * draws


def draw_box(
    generator: torch.Generator, image_size: int, augmentation: StrongAugmentation
) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a CutMix box.

    The area is drawn once, aspect and position until the box fits, as in the official code. This makes boxes that fit
    easily more likely.
    """
    area = uniform(*augmentation.cutmix_area, generator) * image_size**2
    while True:
        aspect = uniform(*augmentation.cutmix_aspect, generator)
        width, height = int(math.sqrt(area / aspect)), int(math.sqrt(area * aspect))
        left, top = torch.randint(0, image_size, (2,), generator=generator).tolist()
        if left + width <= image_size and top + height <= image_size:
            return top, left, top + height, left + width


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """A uniform number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
