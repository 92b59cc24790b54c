"""Networks for other numbers of channels than they were trained with: the first convolution takes more or fewer."""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

COLORS = {"red": 1, "green": 2, "blue": 3}
MEAN, REPEAT = "mean", "repeat"


def adapt_input_channels(model: PreTrainedModel, num_channels: int, sources: Sequence[int | str]) -> None:
    """Let a network take another number of channels; changed in place, with its configuration, so that it saves so.

    Args:
        model: any backbone of transformers whose first layer is a convolution, or a model with one as `backbone`.
        num_channels: of the images from now on.
        sources: where the weights of the new channels come from. `["mean"]`: each is the mean of the old ones.
            `["repeat"]`: the old ones in turn. Both are multiplied by old / new channels, so that the activations
            keep their size. Or one source per new channel: the number of an old channel from 1, `"red"`, `"green"` or
            `"blue"` (1, 2, 3), or `"mean"`; these weights are copied as they are, so that a network for RGB sees the
            same in channels that are still RGB.

    Raises:
        ValueError: if the network has no such convolution, or there is no source for every channel; names both
            numbers.
    """
    backbone = getattr(model, "backbone", model)
    convolution = first_convolution(backbone)
    old = convolution.in_channels
    weight = convolution.weight.detach()
    mean = weight.mean(dim=1)
    chosen = [str(source).lower() for source in sources]
    if chosen == [MEAN]:
        planes = [mean * (old / num_channels)] * num_channels
    elif chosen == [REPEAT]:
        planes = [weight[:, channel % old] * (old / num_channels) for channel in range(num_channels)]
    elif len(chosen) == num_channels:
        planes = [mean if name == MEAN else weight[:, _channel(name, old) - 1] for name in chosen]
    else:
        raise ValueError(
            f"{len(chosen)} sources of weights ({', '.join(chosen)}) for {num_channels} channels: expected {MEAN!r}, "
            f"{REPEAT!r}, or one source per channel, such as red green blue mean"
        )
    convolution.weight = nn.Parameter(torch.stack(planes, dim=1).contiguous(), convolution.weight.requires_grad)
    convolution.in_channels = num_channels
    _set_channels(model, backbone, old, num_channels)


def first_convolution(backbone: nn.Module) -> nn.Conv2d:
    """The layer that sees the pixels: the first convolution, which takes as many channels as the configuration says.

    Raises:
        ValueError: if the first convolution takes another number, or there is none.
    """
    found = next((module for module in backbone.modules() if isinstance(module, nn.Conv2d)), None)
    expected = getattr(getattr(backbone, "config", None), "num_channels", None)
    if found is None or found.groups != 1 or expected not in (None, found.in_channels):
        took = "none" if found is None else f"one for {found.in_channels} channels in {found.groups} group(s)"
        raise ValueError(
            f"{type(backbone).__name__} cannot take other channels: its first convolution must be one for its "
            f"{expected} channels, it has {took}"
        )
    return found


def _channel(source: str, old: int) -> int:
    number = COLORS.get(source) or (int(source) if source.isdigit() else 0)
    if not 1 <= number <= old:
        raise ValueError(
            f"the source {source!r} of a channel's weights is none of the network's {old} channels: expected a number "
            f"from 1 to {old}, red, green, blue or {MEAN}"
        )
    return number


def _set_channels(model: nn.Module, backbone: nn.Module, old: int, new: int) -> None:
    """Write the number wherever the network keeps it; embeddings of transformers compare with a copy of their own."""
    nested = getattr(getattr(model, "config", None), "backbone_config", None)
    holders: list[nn.Module | PretrainedConfig | None] = [nested]
    for module in backbone.modules():
        holders += [module, getattr(module, "config", None)]
    for holder in holders:
        if getattr(holder, "num_channels", None) == old:
            holder.num_channels = new


__all__ = ["adapt_input_channels", "first_convolution"]
