"""What every network of S5 tells transformers, and how its weights are laid out in memory once they are loaded."""

from typing import Any

from transformers import PreTrainedModel

from .aligned_weights import align_weights


class S5PreTrainedModel(PreTrainedModel):
    """The settings that all networks share. `from_pretrained` aligns the weights."""

    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    # The loss is a mean already: Trainer divides it by the steps it accumulates.
    accepts_loss_kwargs = False
    _no_split_modules = ["S5ViTEmbeddings", "S5ViTLayer", "S5FeaturePyramid"]  # noqa: RUF012 - transformers' own form
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As `PreTrainedModel.from_pretrained`, with weights at multiples of 64 bytes."""
        loaded = super().from_pretrained(*args, **kwargs)
        align_weights(loaded[0] if isinstance(loaded, tuple) else loaded)  # a tuple with output_loading_info=True
        return loaded
