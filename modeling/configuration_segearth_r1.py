"""Configuration of SegEarth-R1."""

from collections.abc import Mapping
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, Mask2FormerConfig, PretrainedConfig, SwinConfig

from .configuration_s5 import make_backbone_config
from .configuration_s5_vit import require_whole_numbers

STRIDE = 32
PHI_1_5 = {"vocab_size": 50297, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24}
STAGES = ["stage1", "stage2", "stage3", "stage4"]


class SegEarthR1Config(PretrainedConfig):
    """Configuration of [`SegEarthR1ForPixelReasoning`]. The defaults are the published ones: Swin-B and Phi-1.5.

    Args:
        backbone_config: of the vision encoder, any `AutoBackbone` with four maps, as an object or a dictionary with
            `model_type`. Maps at other strides than 4, 8, 16 and 32 are averaged or interpolated.
        language_config: of the language model, any causal one of transformers, in the same forms.
        image_size: side of the square images in pixels, a multiple of 32; the connector's norms fix it.
        image_channels: channels of the images.
        projector_channels, projector_heads: width of the description projector, and the heads of its attention.
        decoder_channels: width of the pixel decoder and of the mask decoder, a multiple of 32.
        decoder_heads: attention heads in both.
        pixel_decoder_layers, mask_decoder_layers: depth of each.
        pixel_decoder_feedforward, mask_decoder_feedforward: width of their hidden layers.
        mask_weight, dice_weight, language_weight: of the parts of the loss.
        train_points: points of every mask at which the loss looks.
        oversampling: so many times as many points are drawn, of which the least certain are kept.
        uncertain_share: of the points that are chosen so; the others are anywhere.
        freeze_backbone: whether the vision encoder is left as it is and always in evaluation mode. Officially it is
            frozen, but its stochastic depth still acts while training: a defect.

    Raises:
        ValueError: for numbers that cannot be.
    """

    model_type = "segearth_r1"
    keys_to_ignore_at_inference = ["auxiliary_logits", "language_logits", "loss_parts"]  # noqa: RUF012
    sub_configs = {"backbone_config": AutoConfig, "language_config": AutoConfig}  # noqa: RUF012 - transformers' own form

    def __init__(
        self,
        backbone_config: PretrainedConfig | Mapping[str, Any] | None = None,
        language_config: PretrainedConfig | Mapping[str, Any] | None = None,
        image_size: int = 1024,
        image_channels: int = 3,
        projector_channels: int = 512,
        projector_heads: int = 8,
        decoder_channels: int = 256,
        decoder_heads: int = 8,
        pixel_decoder_layers: int = 6,
        mask_decoder_layers: int = 9,
        pixel_decoder_feedforward: int = 1024,
        mask_decoder_feedforward: int = 2048,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        language_weight: float = 1.0,
        train_points: int = 12544,
        oversampling: float = 3.0,
        uncertain_share: float = 0.75,
        freeze_backbone: bool = True,
        **kwargs: Any,
    ) -> None:
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        self.backbone_config = make_backbone_config(backbone_config or swin_b(image_size))
        self.language_config = make_language_config(language_config)
        self.image_size = image_size
        self.image_channels = image_channels
        self.projector_channels = projector_channels
        self.projector_heads = projector_heads
        self.decoder_channels = decoder_channels
        self.decoder_heads = decoder_heads
        self.pixel_decoder_layers = pixel_decoder_layers
        self.mask_decoder_layers = mask_decoder_layers
        self.pixel_decoder_feedforward = pixel_decoder_feedforward
        self.mask_decoder_feedforward = mask_decoder_feedforward
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.language_weight = language_weight
        self.train_points = train_points
        self.oversampling = oversampling
        self.uncertain_share = uncertain_share
        self.freeze_backbone = freeze_backbone
        super().__init__(**kwargs)
        self._check()

    @property
    def hidden_size(self) -> int:
        """Width of the language model."""
        return self.language_config.get_text_config().hidden_size

    @property
    def vocab_size(self) -> int:
        """Tokens of the language model, `[PAD]` and `[SEG]` among them."""
        return self.language_config.get_text_config().vocab_size

    @property
    def mask_former_config(self) -> Mask2FormerConfig:
        """The settings of both decoders as transformers has them."""
        return Mask2FormerConfig(
            feature_size=self.decoder_channels,
            mask_feature_size=self.decoder_channels,
            hidden_dim=self.decoder_channels,
            num_attention_heads=self.decoder_heads,
            encoder_layers=self.pixel_decoder_layers,
            decoder_layers=self.mask_decoder_layers + 1,
            encoder_feedforward_dim=self.pixel_decoder_feedforward,
            dim_feedforward=self.mask_decoder_feedforward,
            dropout=0.0,
        )

    def _check(self) -> None:
        whole = ("image_channels", "projector_channels", "projector_heads", "decoder_channels", "decoder_heads")
        layers = ("pixel_decoder_layers", "mask_decoder_layers", "train_points")
        require_whole_numbers(self, (*whole, *layers))
        for name, divisor in (("image_size", STRIDE), ("decoder_channels", STRIDE)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < divisor or value % divisor:
                raise ValueError(f"{name} is {value!r}, expected a positive multiple of {divisor}")
        for width, heads in (("projector_channels", "projector_heads"), ("decoder_channels", "decoder_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ValueError(
                    f"{width} is {getattr(self, width)}, not a multiple of {heads} {getattr(self, heads)}"
                )
        if not 0 <= self.uncertain_share <= 1 or self.oversampling < 1:
            raise ValueError(
                f"uncertain_share is {self.uncertain_share} and oversampling {self.oversampling}, "
                "expected a share from 0 to 1 and a factor from 1"
            )


def grid_sizes(image_size: int) -> tuple[int, int, int]:
    """Sides of the coarsest feature map of an image and of the two maps that the connector makes of it."""
    first = image_size // STRIDE
    second = (first + 1) // 2
    return first, second, (second + 1) // 2


def visual_tokens(image_size: int) -> int:
    """Tokens that an image takes in the language model."""
    return grid_sizes(image_size)[2] ** 2


def swin_b(image_size: int) -> SwinConfig:
    """Swin-B as published."""
    return SwinConfig(
        image_size=image_size,
        embed_dim=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
        drop_path_rate=0.3,
        out_features=STAGES,
    )


def make_language_config(config: PretrainedConfig | Mapping[str, Any] | None) -> PretrainedConfig:
    """What may be given as `language_config` as an object; Phi-1.5 by default.

    Raises:
        ValueError: for a dictionary without a known `model_type`.
    """
    if isinstance(config, PretrainedConfig):
        return config
    settings = {"model_type": "phi", **PHI_1_5} if config is None else dict(config)
    name = settings.pop("model_type", None)
    if name not in CONFIG_MAPPING:
        raise ValueError(f"language_config has the model_type {name!r}, expected one of transformers, such as 'phi'")
    return CONFIG_MAPPING[name](**settings)


__all__ = ["SegEarthR1Config"]
