"""What is trained: the translator, which is kept, and two discriminators, which are not; and the losses of both.

The paper (arXiv 2502.11468) names cycles across the dates and adversarial losses; their form is our reading: least
squares (LSGAN, arXiv 1611.04076), patches (PatchGAN, arXiv 1611.07004) and the weights of CycleGAN (arXiv 1703.10593).
"""

import torch
from torch import nn
from torch.nn import functional

from ...modeling import SRUITConfig, SRUITModel
from ..starting_weights import load_network
from .recipe import TranslatorSettings

SLOPE = 0.2
MOST_CHANNELS = 8
"""Of a discriminator, as a multiple of its first ones."""


def patch_discriminator(num_channels: int, size: int, layers: int, initializer_range: float) -> nn.Sequential:
    """A PatchGAN: images to a number for every patch, near 1 for images of the date and near 0 for others."""
    parts: list[nn.Module] = [nn.Conv2d(num_channels, size, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    channels = size
    for layer in range(1, layers + 1):
        wider = min(2 * channels, MOST_CHANNELS * size)
        stride = 2 if layer < layers else 1
        parts.append(nn.Conv2d(channels, wider, 4, stride, padding=1, bias=False))
        parts += [nn.InstanceNorm2d(wider), nn.LeakyReLU(SLOPE)]
        channels = wider
    parts.append(nn.Conv2d(channels, 1, 4, padding=1))
    for part in parts:
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=initializer_range)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return nn.Sequential(*parts)


class TranslationNetwork(nn.Module):
    """A translator with its discriminators and losses.

    Args:
        translator: both generators.
        settings: of the discriminators.
    """

    def __init__(self, translator: SRUITModel, settings: TranslatorSettings) -> None:
        super().__init__()
        self.translator = translator
        config = translator.config
        sizes = (config.num_channels, settings.discriminator_size, settings.discriminator_layers)
        make = [patch_discriminator(*sizes, config.initializer_range) for _ in range(2)]
        self.discriminators = nn.ModuleDict(dict(zip(("before", "after"), make, strict=True)))

    @classmethod
    def of_recipe(cls, settings: TranslatorSettings, num_channels: int) -> "TranslationNetwork":
        """The network at step 0.

        Raises:
            ValueError: if a given translator takes another number of channels.
        """
        if settings.translator is not None:
            translator = load_network(SRUITModel, settings.translator)
        else:
            sizes = ("hidden_size", "num_own_blocks", "num_shared_blocks")
            translator = SRUITModel(SRUITConfig(num_channels, **{name: getattr(settings, name) for name in sizes}))
            # Both dates start alike, so that one latent space means one thing for both. From weights of their own,
            # bright roofs may become dark and come back: a cycle does not forbid it.
            for parts in (translator.encoders, translator.decoders):
                parts["after"].load_state_dict(parts["before"].state_dict())
        if translator.config.num_channels != num_channels:
            raise ValueError(
                f"{settings.translator} takes {translator.config.num_channels} channels, the images have "
                f"{num_channels}"
            )
        return cls(translator, settings).train()

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The losses of pairs, sums over both directions, means over the pairs.

        One backward pass of their sum gives generators and discriminators their own gradients, and one optimizer
        takes a step for both: those of the generators flow through discriminators with detached weights, those of
        the discriminators end at detached images. Adam treats every weight by itself, so this is what two optimizers
        of the same settings would do in a common step.

        Args:
            images: `(batch, 2, channels, height, width)`, both dates, -1 to 1, sides multiples of 4.
        """
        before, after = images.unbind(dim=1)
        real = {"before": before, "after": after}
        other = {"before": "after", "after": "before"}
        translator = self.translator
        latent = {date: translator.encode(image, date) for date, image in real.items()}
        fake = {date: translator.decode(latent[other[date]], date) for date in real}
        losses = dict.fromkeys(("adversarial", "cycle", "self", "discriminator"), 0.0)
        for date, image in real.items():
            back = translator.decode(translator.encode(fake[other[date]], other[date]), date)
            losses["cycle"] += functional.l1_loss(back, image)
            losses["self"] += functional.l1_loss(translator.decode(latent[date], date), image)
            losses["adversarial"] += squared_distance(self.frozen_discriminator(date, fake[date]), 1)
            as_real, as_fake = (self.discriminators[date](shown) for shown in (image, fake[date].detach()))
            losses["discriminator"] += (squared_distance(as_real, 1) + squared_distance(as_fake, 0)) / 2
        return losses

    def frozen_discriminator(self, date: str, images: torch.Tensor) -> torch.Tensor:
        """What a discriminator says of images; gradients reach the images, not its weights."""
        discriminator = self.discriminators[date]
        weights = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
        return torch.func.functional_call(discriminator, weights, (images,))


def squared_distance(said: torch.Tensor, wanted: float) -> torch.Tensor:
    """The mean squared distance from a number."""
    return (said - wanted).square().mean()
