"""A start for short trainings: kernels that keep to pixels of like colour from the first step.

A new up-sampler compares random keys: its kernels are nearly flat, and it blurs until its keys tell colours apart.
Here the keys start as a code of the colours: each channel has eight bands of brightness, and a key says how near a
pixel is to the middle of one. The inner product of two pixels' keys is large for like colours and near 0 for others.
"""

from collections.abc import Sequence

import torch
from torch import nn

from ...modeling.simfeatup import JointBilateralUpsampler, SimFeatUpUpsampler

SHARPNESS = 2.0  # how much the input of a hidden unit changes from one band to the next
LOG_TEMPERATURE, WIDTH = 3.3, 0.7


@torch.no_grad()
def start_from_colours(upsampler: SimFeatUpUpsampler, mean: Sequence[float], std: Sequence[float]) -> None:
    """Set the keys of all modules, their temperature and the width of the kernels.

    Args:
        upsampler: new; its corrections stay as they are.
        mean, std: with which its guidance, in 0..1, is normalised.
    """
    for module in upsampler.modules():
        if isinstance(module, JointBilateralUpsampler):
            first, last = module.range_proj[0], module.range_proj[-1]
            code_colours(first, last, mean, std)
            module.range_temp.fill_(LOG_TEMPERATURE)
            module.sigma_spatial.fill_(WIDTH)


@torch.no_grad()
def code_colours(first: nn.Conv2d, last: nn.Conv2d, mean: Sequence[float], std: Sequence[float]) -> None:
    """Set two convolutions of single pixels, with GELU between them, to the code of the colours.

    Each channel takes the same number of hidden units, its knots; what is left over stays 0.
    """
    for parameter in (first.weight, first.bias, last.weight, last.bias):
        parameter.zero_()
    knots = first.out_channels // len(mean)
    bands = knots - 2
    places = (torch.arange(knots) - 0.5) / bands  # all but the outer ones are the middles of the bands of 0..1
    for channel, (centre, deviation) in enumerate(zip(mean, std, strict=True)):
        units = slice(channel * knots, (channel + 1) * knots)
        first.weight[units, channel] = SHARPNESS * bands * deviation
        first.bias[units] = SHARPNESS * bands * (centre - places)
        # A second difference of ramps is a bump: 1 at the middle of its band, and 0 from the middles of the next on.
        bump = torch.tensor([1.0, -2.0, 1.0]).view(3, 1, 1) / SHARPNESS
        for band in range(bands):
            unit = units.start + band
            last.weight[channel * bands + band, unit : unit + 3] = bump
