"""DINOv2 with the resizing of position embeddings of its own release (Oquab et al., arXiv 2304.07193).

The release resizes by *scale factors* `(side + 0.1) / stored side`, which also set the coordinates of the samples;
transformers gives the new *size*. With a smooth embedding they differ by 7 % at 224 px and 3 % at 504 px.
"""

import torch
from transformers import Dinov2Backbone, Dinov2Config
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

from .configuration_s5_dinov2 import S5Dinov2Config
from .deterministic_operations import resize_bicubic

# As in the release: keeps the product with the scale factor from falling below the number of patches.
INTERPOLATE_OFFSET = 0.1


class S5Dinov2Embeddings(Dinov2Embeddings):
    """Class token, patches and position embeddings, the latter resized as in the release."""

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Position embeddings `(1, 1 + rows * columns, hidden)` for images of this height and width in pixels."""
        patch_height, patch_width = self.patch_embeddings.patch_size
        grid = (height // patch_height, width // patch_width)
        stored = round((self.position_embeddings.shape[1] - 1) ** 0.5)
        if grid == (stored, stored):
            return self.position_embeddings
        as_map = self.position_embeddings[:, 1:].unflatten(1, (stored, stored)).permute(0, 3, 1, 2)
        factors = [(side + INTERPOLATE_OFFSET) / stored for side in grid]
        resized = resize_bicubic(as_map.float(), scale_factor=factors)
        patches = resized.flatten(2).transpose(1, 2).to(self.position_embeddings.dtype)
        return torch.cat([self.position_embeddings[:, :1], patches], dim=1)


class S5Dinov2Backbone(Dinov2Backbone):
    """DINOv2 as a backbone whose tokens are those of the release at every size.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoBackbone, AutoConfig
    >>> config = AutoConfig.for_model(
    ...     "s5_dinov2", hidden_size=24, num_hidden_layers=4, num_attention_heads=3, out_indices=[1, 2, 3, 4]
    ... )
    >>> backbone = AutoBackbone.from_config(config).eval()
    >>> [tuple(feature_map.shape) for feature_map in backbone(torch.zeros(1, 3, 42, 56)).feature_maps][:2]
    [(1, 24, 3, 4), (1, 24, 3, 4)]

    ```
    """

    config_class = S5Dinov2Config

    def __init__(self, config: S5Dinov2Config) -> None:
        super().__init__(config)
        self.embeddings = S5Dinov2Embeddings(config)
        self.post_init()


def read_names_of_checkpoints() -> None:
    """Have transformers rename the weights of checkpoints for this class as it does for its own.

    Newer versions name the layers of attention otherwise than the published files do. Of classes from elsewhere they
    rename the weights of registered ones only; the others would start with random attention.
    """
    for own, of_transformers in (
        (S5Dinov2Backbone.__name__, Dinov2Backbone.__name__),
        (S5Dinov2Config.model_type, Dinov2Config.model_type),
    ):
        renamings = get_checkpoint_conversion_mapping(of_transformers)
        if renamings is not None:
            register_checkpoint_conversion_mapping(own, renamings, overwrite=True)


read_names_of_checkpoints()

__all__ = ["S5Dinov2Backbone"]
