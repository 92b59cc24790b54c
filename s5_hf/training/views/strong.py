"""The strong view A_s, batched on the device: colour jitter, grayscale, Gaussian blur, CutMix boxes, normalisation.

Source: S5 (arXiv 2508.12409), section "S4 Pre-training", with the ranges of the official code. The official code works
on one Pillow image at a time in a CPU worker; here the random numbers are drawn for each sample on the host, from a
generator with the sample's seed, and the pixels are computed for the whole batch on its device. A sample therefore
gets the same view on every device, up to rounding.

Images are float `(batch, channels, height, width)` in 0..1 until `normalize`. Colours are changed in the channels that
are red, green and blue; every other channel gets a gain, an offset and a gamma of its own, which the paper does not
have.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import torch
from torch.nn import functional

from ...modeling.host_values import on_device

BLUR_RADIUS = 6  # pixels; three standard deviations of the widest published blur
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L
OPERATIONS = ("brightness", "contrast", "saturation", "hue")


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
    """The random parameters of each sample of a batch, on the host.

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
        rows.append(row | {"bands": _draw_bands(generator, 0 if channels == len(LUMA) else channels, augmentation)})
    return StrongParameters(**{field.name: torch.stack([row[field.name] for row in rows]) for field in FIELDS})


FIELDS = fields(StrongParameters)


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


def color_positions(bands: Sequence[int | str] | None, channels: int) -> tuple[int, int, int] | None:
    """Which channels are red, green and blue, from 0: by the names of the bands, or all where there are three.

    Args:
        bands: names or numbers of the bands, where they are known.
        channels: of the images.
    """
    names = [str(band).lower() for band in bands or ()]
    if all(names.count(color) == 1 for color in ("red", "green", "blue")):
        return names.index("red"), names.index("green"), names.index("blue")
    return (0, 1, 2) if channels == len(LUMA) else None


def strong_view(
    images: torch.Tensor, parameters: StrongParameters, colors: tuple[int, int, int] | None = (0, 1, 2)
) -> torch.Tensor:
    """Jitter, grayscale, blur; CutMix comes later, because it needs two finished views.

    Args:
        images: float `(batch, channels, height, width)`, 0..1. They are left as they are.
        parameters: one row per image.
        colors: positions of red, green and blue; `None` where no channels are colours. The others get gain, gamma and
            offset.

    Raises:
        ValueError: if the parameters were drawn for another number of channels.
    """
    channels = images.shape[1]
    drawn = parameters.bands.shape[1] or len(LUMA)
    if drawn != channels:
        raise ValueError(f"the strong view was drawn for {drawn} channels, the images have {channels}")
    images = images.clone() if colors is None else _with_colors(images, parameters, list(colors))
    others = [channel for channel in range(channels) if channel not in (colors or ())]
    if others and parameters.bands.shape[1]:
        changed = adjust_bands(channels_of(images, others), parameters.jitter, parameters.bands[:, others])
        images.index_copy_(1, constants(tuple(others), torch.int64, images.device).flatten(), changed)
    blurred = (parameters.sigma > 0).nonzero().flatten()
    if len(blurred):
        asked, sigma = blurred.tolist(), parameters.sigma[blurred]  # both stay on the host
        change_rows(images, asked, on_device(blurred, images.device), gaussian_blur, sigma)
    return images


@lru_cache(maxsize=64)
def constants(values: tuple[int | float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Numbers as a column `(n, 1, 1)` on the device, moved there once."""
    with torch.inference_mode(False):  # whoever asks first, they are for all
        return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


def channels_of(images: torch.Tensor, positions: Sequence[int]) -> torch.Tensor:
    """Some channels of images; all of them in their order are the images themselves."""
    if list(positions) == list(range(images.shape[1])):
        return images
    return images.index_select(1, constants(tuple(positions), torch.int64, images.device).flatten())


def _with_colors(images: torch.Tensor, parameters: StrongParameters, colors: list[int]) -> torch.Tensor:
    """New images whose colours are jittered or dropped."""
    seen = color_jitter(channels_of(images, colors), parameters.jitter, parameters.order, parameters.factors)
    gray = parameters.grayscale.nonzero().flatten()
    if len(gray):
        asked, rows = gray.tolist(), on_device(gray, images.device)
        change_rows(seen, asked, rows, lambda part: grayscale(part).expand(-1, 3, -1, -1))
    if images.shape[1] == len(colors) and colors == sorted(colors):
        return seen
    return images.index_copy(1, constants(tuple(colors), torch.int64, images.device).flatten(), seen)


def adjust_bands(images: torch.Tensor, jitter: torch.Tensor, bands: torch.Tensor) -> torch.Tensor:
    """Gain times the value to the power of gamma, plus offset, cut to 0..1, for the chosen samples; a new tensor.

    Args:
        images: float `(batch, channels, height, width)`, 0..1.
        jitter: bool `(batch,)`, which samples are changed.
        bands: `(batch, channels, 3)`: gain, gamma and offset.
    """
    gain, gamma, offset = on_device(bands, images.device).to(images.dtype)[..., None, None].unbind(dim=2)
    changed = (gain * images.pow(gamma) + offset).clamp_(0, 1)
    return torch.where(on_device(jitter, images.device)[:, None, None, None], changed, images)


def color_jitter(
    images: torch.Tensor, jitter: torch.Tensor, order: torch.Tensor, factors: torch.Tensor
) -> torch.Tensor:
    """Apply the four operations to the chosen samples, each in its own order; returns a new tensor."""
    images = images.clone()
    turns = [
        (index, (jitter & (order[:, turn] == index)).nonzero().flatten())
        for turn in range(len(OPERATIONS))
        for index in range(len(OPERATIONS))
    ]
    chosen = on_device(torch.cat([rows for _, rows in turns]), images.device)  # all turns in one transfer
    strength = on_device(torch.cat([factors[rows, index] for index, rows in turns]), images.device).to(images.dtype)
    counts = [len(rows) for _, rows in turns]
    for (index, asked), rows, factor in zip(turns, chosen.split(counts), strength.split(counts), strict=True):
        change_rows(images, asked.tolist(), rows, ADJUST[OPERATIONS[index]], factor[:, None, None, None])
    return images


def change_rows(
    images: torch.Tensor,
    asked: Sequence[int],
    rows: torch.Tensor,
    change: Callable[..., torch.Tensor],
    *amounts: torch.Tensor,
) -> None:
    """Replace some images of a batch by what `change` makes of them.

    Args:
        images: `(batch, channels, height, width)`, changed in place.
        asked: their numbers.
        rows: the same int64 `(n,)`, on the device of the images.
        change: from images, and `amounts`, to images of the same size.
        amounts: `(n, ...)`, a row for each image that is changed, on the device or where `change` wants them.
    """
    if len(asked) == 1 or images.device.type == "cpu":
        # One image need not be copied to be looked at, and a processor keeps it in its cache.
        for place, row in enumerate(asked):
            one = images[row:][:1]
            one.copy_(change(one, *(amount[place:][:1] for amount in amounts)))
    elif len(asked):
        images[rows] = change(images[rows], *amounts)


def adjust_brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """The image times `factor`, clipped to 0..1."""
    return (images * factor).clamp_(0, 1)


def adjust_contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Scale the differences from the mean grey of the image."""
    mean = grayscale(images.mean(dim=(2, 3), keepdim=True))
    return torch.lerp(mean.expand_as(images), images, factor).clamp_(0, 1)


def adjust_saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Scale the differences of each pixel from its grey."""
    return torch.lerp(grayscale(images).expand_as(images), images, factor).clamp_(0, 1)


def adjust_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Shift the hue of the HSV colour by `shift` (1 is the full circle)."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # The hue in sixths of the circle, counted from the brightest colour: red at 0, green at 2, blue at 4. Products
    # with 0 and 1 choose without a rounding error, and on a processor in a fraction of the time of torch.where.
    is_red = (red == value).to(images.dtype)
    is_green = (green == value).to(images.dtype).mul_(1 - is_red)
    is_blue = 1 - is_red - is_green
    sixths = (green - blue).mul_(is_red).add_((blue - red).mul_(is_green)).add_((red - green).mul_(is_blue))
    sixths.div_(chroma + (chroma == 0)).add_(is_green.mul_(2).add_(is_blue.mul_(4))).add_(6 * shift[:, 0])

    shifted = torch.empty_like(images)
    for channel, offset in enumerate((5, 3, 1)):
        # HSV to RGB without branches: v - c * max(0, min(k, 4 - k, 1)) with k = (offset + hue in sixths) mod 6, for
        # which torch.remainder would take longer than all the rest.
        position = sixths + offset
        position -= (position / 6).floor_().mul_(6)
        part = torch.minimum(position, 4 - position).clamp_(0, 1).mul_(chroma)
        torch.sub(value, part, out=shifted[:, channel])
    return shifted


ADJUST = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def grayscale(images: torch.Tensor) -> torch.Tensor:
    """Luma `(batch, 1, height, width)` of RGB images."""
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur each image with its own sigma `(batch,)` in pixels, on the host; edge pixels are repeated."""
    batch, channels, height, width = images.shape
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None].float()) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)
    if images.device.type == "cpu":
        return _blur_by_shifts(images, weights[:, BLUR_RADIUS:].tolist())
    weights = on_device(weights, images.device)
    weights = weights.repeat_interleave(channels, dim=0)[:, None]  # (batch * channels, 1, taps)
    planes = images.reshape(1, batch * channels, height, width)
    padded = functional.pad(planes, (BLUR_RADIUS, BLUR_RADIUS, 0, 0), mode="replicate")
    planes = functional.conv2d(padded, weights[:, :, None, :], groups=batch * channels)
    padded = functional.pad(planes, (0, 0, BLUR_RADIUS, BLUR_RADIUS), mode="replicate")
    planes = functional.conv2d(padded, weights[:, :, :, None], groups=batch * channels)
    return planes.reshape(batch, channels, height, width)


def _blur_by_shifts(images: torch.Tensor, weights: Sequence[Sequence[float]]) -> torch.Tensor:
    """Blur plane by plane, which stay in a processor's cache, as sums of shifted planes: a third of the time of the
    convolution with few channels.

    Args:
        images: float `(batch, channels, height, width)`.
        weights: of each image, from the centre outwards.
    """
    height, width = images.shape[2:]
    blurred = torch.empty_like(images)
    down = images.new_empty(height, width + 2 * BLUR_RADIUS)
    pair = torch.empty_like(down)
    sides = (BLUR_RADIUS,) * 4
    for image, result, taps in zip(images, blurred, weights, strict=True):
        for plane, across in zip(functional.pad(image, sides, mode="replicate"), result, strict=True):
            _weighted_shifts(plane, taps, 0, pair, down)
            _weighted_shifts(down, taps, 1, pair[:, :width], across)
    return blurred


def _weighted_shifts(
    padded: torch.Tensor, taps: Sequence[float], axis: int, pair: torch.Tensor, out: torch.Tensor
) -> None:
    """The weighted sum of a padded plane and its copies shifted both ways along an axis; `pair` is overwritten."""
    size, centre = out.shape[axis], len(taps) - 1
    torch.mul(padded.narrow(axis, centre, size), taps[0], out=out)
    for shift, weight in enumerate(taps[1:], start=1):
        before, after = (padded.narrow(axis, centre + way * shift, size) for way in (-1, 1))
        out.add_(torch.add(before, after, out=pair), alpha=weight)


def box_masks(boxes: torch.Tensor, image_size: int, device: torch.device) -> torch.Tensor:
    """Boxes `(batch, 4)` as bool `(batch, image_size, image_size)`, true inside."""
    top, left, bottom, right = on_device(boxes, device)[:, :, None].unbind(1)  # each (batch, 1)
    positions = torch.arange(image_size, device=device)
    rows = (positions >= top) & (positions < bottom)
    columns = (positions >= left) & (positions < right)
    return rows[:, :, None] & columns[:, None, :]


def normalize(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation of each channel; images in 0..1."""
    means, deviations = (constants(tuple(values), images.dtype, images.device) for values in (mean, std))
    return (images - means) / deviations


def to_unit_range(images: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 to float32 0..1."""
    return images.float().div_(255)
