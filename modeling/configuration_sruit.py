"""Configuration of SRUIT."""

from typing import Any

from transformers import PretrainedConfig


class SRUITConfig(PretrainedConfig):
    """Configuration of [`SRUITModel`].

    Neither sizes nor code are published (arXiv 2502.11468); the defaults are our reading.

    Args:
        num_channels: of the images.
        hidden_size: channels after the first convolution; each of the two reductions doubles them.
        num_own_blocks: residual blocks at the end of each encoder, and at the beginning of each decoder.
        num_shared_blocks: residual blocks that both encoders end with, and as many that both decoders begin with.
        initializer_range: standard deviation of new weights.

    Raises:
        ValueError: a size is below 1, or a number of blocks below 0.
    """

    model_type = "sruit"

    def __init__(
        self,
        num_channels: int = 3,
        hidden_size: int = 64,
        num_own_blocks: int = 3,
        num_shared_blocks: int = 1,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        least = {"num_channels": 1, "hidden_size": 1, "num_own_blocks": 0, "num_shared_blocks": 0}
        given = (num_channels, hidden_size, num_own_blocks, num_shared_blocks)
        for (name, lowest), value in zip(least.items(), given, strict=True):
            if value < lowest:
                raise ValueError(f"{name} is {value}, expected {lowest} or more")
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        self.num_channels = num_channels
        self.hidden_size = hidden_size
        self.num_own_blocks = num_own_blocks
        self.num_shared_blocks = num_shared_blocks
        self.initializer_range = initializer_range
        super().__init__(**kwargs)
