"""Configuration of MambaHSI."""

from typing import Any

from transformers import PretrainedConfig


class MambaHSIConfig(PretrainedConfig):
    """Configuration of [`MambaHSIForSemanticSegmentation`]. The defaults are those of SPECIAL (arXiv 2501.16222).

    Args:
        num_channels: bands of the cube.
        hidden_size: channels of the features.
        num_groups: of every group norm; `hidden_size` is a multiple of it.
        spectral_tokens: into how many places the features of a pixel are cut for the mixing of the spectrum.
        state_size, conv_kernel, expand: of the Mamba mixers.

    Raises:
        ValueError: `hidden_size` is not a multiple of `num_groups` and of `spectral_tokens`.
    """

    model_type = "mamba_hsi"

    def __init__(
        self,
        num_channels: int = 103,
        hidden_size: int = 16,
        num_groups: int = 4,
        spectral_tokens: int = 4,
        state_size: int = 16,
        conv_kernel: int = 4,
        expand: int = 2,
        **kwargs: Any,
    ) -> None:
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        if hidden_size % num_groups or hidden_size % spectral_tokens:
            raise ValueError(
                f"hidden_size is {hidden_size}, expected a multiple of num_groups ({num_groups}) and spectral_tokens "
                f"({spectral_tokens})"
            )
        self.num_channels = num_channels
        self.hidden_size = hidden_size
        self.num_groups = num_groups
        self.spectral_tokens = spectral_tokens
        self.state_size = state_size
        self.conv_kernel = conv_kernel
        self.expand = expand
        super().__init__(**kwargs)
