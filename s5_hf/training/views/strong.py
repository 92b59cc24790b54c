"""The strong view A_s, batched on the device: colour jitter, grayscale, Gaussian blur, CutMix boxes, normalisation.

Source: S5 (arXiv 2508.12409), section "S4 Pre-training", with the ranges of the official code. The official code works
on one Pillow image at a time in a CPU worker; here the workers draw only the random numbers of a sample, from a
generator with its seed, and the pixels are computed for the whole batch on its device. A sample therefore gets the
same view on every device, up to rounding.

Images are float `(batch, channels, height, width)` in 0..1 until `normalize`. Colours are changed in the channels that
are red, green and blue; every other channel gets a gain, an offset and a gamma of its own, which the paper does not
have.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch.nn import functional

from ...modeling.host_values import on_device
from .strong_draws import OPERATIONS, StrongParameters

BLUR_RADIUS = 6  # pixels; three standard deviations of the widest published blur
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's mode L


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
    images: torch.Tensor,
    parameters: StrongParameters,
    colors: tuple[int, int, int] | None = (0, 1, 2),
    moved: StrongParameters | None = None,
) -> torch.Tensor:
    """Jitter, grayscale, blur; CutMix comes later, because it needs two finished views.

    Args:
        images: float `(batch, channels, height, width)`, 0..1. They are left as they are.
        parameters: one row per image, on the host.
        colors: positions of red, green and blue; `None` where no channels are colours. The others get gain, gamma and
            offset.
        moved: the parameters on the device of the images, where they are there already.

    Raises:
        ValueError: if the parameters were drawn for another number of channels.
    """
    channels = images.shape[1]
    drawn = parameters.bands.shape[1] or len(LUMA)
    if drawn != channels:
        raise ValueError(f"the strong view was drawn for {drawn} channels, the images have {channels}")
    moved = parameters.to(images.device) if moved is None else moved
    images = images.clone() if colors is None else _with_colors(images, parameters, moved, list(colors))
    others = [channel for channel in range(channels) if channel not in (colors or ())]
    if others and parameters.bands.shape[1]:
        changed = adjust_bands(channels_of(images, others), moved.jitter, channels_of(moved.bands, others))
        images.index_copy_(1, constants(tuple(others), torch.int64, images.device).flatten(), changed)
    if images.device.type == "cpu":
        blur_one_by_one(images, parameters.sigma)
    else:
        blur_together(images, moved.sigma, int((parameters.sigma > 0).sum()))
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


def _with_colors(
    images: torch.Tensor, parameters: StrongParameters, moved: StrongParameters, colors: list[int]
) -> torch.Tensor:
    """New images whose colours are jittered or dropped."""
    seen = channels_of(images, colors)
    seen = colors_one_by_one(seen, parameters) if images.device.type == "cpu" else colors_together(seen, moved)
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
    gain, gamma, offset = bands.to(images.dtype)[..., None, None].unbind(dim=2)
    changed = (gain * images.pow(gamma) + offset).clamp_(0, 1)
    return torch.where(_columns(jitter), changed, images)


def colors_one_by_one(images: torch.Tensor, parameters: StrongParameters) -> torch.Tensor:
    """New RGB images, jittered and made grey one behind the other: a processor keeps an image in its cache.

    Args:
        images: float `(batch, 3, height, width)`, 0..1.
        parameters: on the host.
    """
    images = images.clone()
    factors = parameters.factors.to(images.dtype)[..., None, None, None, None]
    for row, (jitter, gray) in enumerate(zip(parameters.jitter.tolist(), parameters.grayscale.tolist(), strict=True)):
        image = images[row:][:1]
        for operation in parameters.order[row].tolist() if jitter else ():
            image.copy_(ADJUST[OPERATIONS[operation]](image, factors[row, operation]))
        if gray:
            image.copy_(grayscale(image))
    return images


def colors_together(images: torch.Tensor, parameters: StrongParameters) -> torch.Tensor:
    """The same, up to rounding, for all images at once, whatever was drawn: a GPU is asked for no groups of images.

    All operations but the hue, which costs most, have one form. So the hue is shifted once, with room for the three
    others before and after it: less than half of the kernels that groups by operation and turn need, for 1.4 times the
    traffic in memory. A processor, whose cache counts, is faster with one image at a time.

    Args:
        images: float `(batch, 3, height, width)`, 0..1.
        parameters: on their device.
    """
    hue = OPERATIONS.index("hue")
    turn_of_hue = (parameters.order == hue).long().argmax(dim=1)
    changed = images
    for turn in range(len(OPERATIONS) - 1):
        changed = _adjust_chosen(changed, parameters, turn, turn_of_hue > turn)
    changed = adjust_hue(changed, _columns(parameters.factors[:, hue]).to(images.dtype))
    for turn in range(1, len(OPERATIONS)):
        changed = _adjust_chosen(changed, parameters, turn, turn_of_hue < turn)
    changed = torch.where(_columns(parameters.jitter), changed, images)
    return torch.where(_columns(parameters.grayscale), grayscale(changed), changed)


def _adjust_chosen(
    images: torch.Tensor, parameters: StrongParameters, turn: int, chosen: torch.Tensor
) -> torch.Tensor:
    """Brightness, contrast or saturation of the chosen images, whichever has this turn; others stay the same.

    Each scales the differences from a base: black, the mean grey of the image, or the grey of the pixel.
    """
    operation = parameters.order[:, turn]
    factor = parameters.factors.gather(1, operation[:, None])[:, 0].masked_fill(~chosen, 1.0)
    is_contrast, is_saturation = (
        _columns(operation == OPERATIONS.index(name)).to(images.dtype) for name in ("contrast", "saturation")
    )
    gray = grayscale(images)
    base = torch.addcmul(is_contrast * gray.mean(dim=(2, 3), keepdim=True), gray, is_saturation)
    return torch.lerp(base.expand_as(images), images, _columns(factor).to(images.dtype)).clamp_(0, 1)


def _columns(values: torch.Tensor) -> torch.Tensor:
    """A number `(batch,)` for each image as `(batch, 1, 1, 1)`."""
    return values[:, None, None, None]


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


def blur_one_by_one(images: torch.Tensor, sigma: torch.Tensor) -> None:
    """Blur in place each image whose sigma `(batch,)`, on the host, is above 0; for a processor."""
    for row in (sigma > 0).nonzero().flatten().tolist():
        image = images[row:][:1]
        image.copy_(gaussian_blur(image, sigma[row:][:1]))


def blur_together(images: torch.Tensor, sigma: torch.Tensor, count: int) -> None:
    """Blur in place the `count` images whose sigma `(batch,)`, on their device, is above 0; for a GPU."""
    if count:
        rows = sigma.argsort(descending=True)[:count]  # found without asking the device where they are
        images[rows] = _blur_by_convolution(images[rows], _blur_weights(sigma[rows]).to(images.dtype))


def gaussian_blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur each image with its own sigma `(batch,)` in pixels, on a processor; edge pixels are repeated."""
    return _blur_by_shifts(images, _blur_weights(sigma)[:, BLUR_RADIUS:].to(images.dtype).tolist())


def _blur_weights(sigma: torch.Tensor) -> torch.Tensor:
    """The Gaussian of each sigma `(batch,)`, `(batch, taps)` on its device."""
    offsets = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, dtype=torch.float32, device=sigma.device)
    weights = torch.exp(-0.5 * (offsets / sigma[:, None].float()) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def _blur_by_convolution(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Blur each image with its own weights `(batch, taps)`, across and down."""
    batch, channels, height, width = images.shape
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
