"""The dense segmenter written so that one traced graph serves every height, width and batch.

Two parts of the network look at the size of their input while Python runs: the position embeddings are resized only
where the grid is not the stored one, and adaptive pooling chooses its bins. A tracer would freeze what it saw. The
classes here compute the same numbers without such a choice.
"""

import copy

import torch
from torch import nn

from ..modeling import S5ForSemanticSegmentation, S5ViTBackbone
from ..modeling.deterministic_operations import averaging_matrix
from ..modeling.upernet import UPerNetDecoder
from ..modeling.vit_embeddings import S5ViTEmbeddings, resize_position_embeddings


class SizeFreeGraph(nn.Module):
    """`pixel_values` `(batch, channels, height, width)` to logits `(batch, labels, height, width)`, one task.

    Height and width must be multiples of the patch size.

    Args:
        dense: a segmenter with one task and no experts (see `merge_experts`). It is copied.

    Raises:
        ValueError: if the model has several tasks, experts, another decoder than UPerNet, or a backbone that is not
            an S5 ViT.
    """

    def __init__(self, dense: S5ForSemanticSegmentation) -> None:
        super().__init__()
        if not isinstance(dense.backbone, S5ViTBackbone):
            raise ValueError(
                f"only models on an S5 ViT can be exported, this backbone is a {dense.backbone.config.model_type!r}"
            )
        if dense.config.decoder != "upernet":
            raise ValueError(
                f"only models with the upernet decoder can be exported, this one has {dense.config.decoder!r}"
            )
        if len(dense.config.tasks) != 1 or dense.backbone.config.num_experts:
            raise ValueError(
                f"expected a dense model of one task, got the tasks {', '.join(dense.config.tasks)} and "
                f"{dense.backbone.config.num_experts} experts; merge_experts makes a dense one"
            )
        self.model = copy.deepcopy(dense).eval().float().requires_grad_(False)
        embeddings = SizeFreeEmbeddings(dense.backbone.config)
        embeddings.load_state_dict(self.model.backbone.embeddings.state_dict())
        self.model.backbone.embeddings = embeddings.requires_grad_(False)
        decoder = SizeFreeDecoder(dense.backbone.channels, dense.config.decoder_channels, dense.config.pool_scales)
        decoder.load_state_dict(self.model.decoders[0].state_dict())
        self.model.decoders[0] = decoder.eval().requires_grad_(False)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values, return_dict=True).logits


class SizeFreeEmbeddings(S5ViTEmbeddings):
    """Position embeddings that are always resized; to the stored grid this changes no bit."""

    def position_embeddings_for(self, grid: tuple[int, int]) -> torch.Tensor:
        return resize_position_embeddings(self.position_embeddings, self.stored_grid, grid)


class SizeFreeDecoder(UPerNetDecoder):
    """Adaptive average pooling as two matrix products, with matrices computed from the size of the map."""

    def pool_to_grid(self, feature_map: torch.Tensor, scale: int) -> torch.Tensor:
        rows = averaging_matrix(feature_map.shape[2], scale, feature_map)
        columns = averaging_matrix(feature_map.shape[3], scale, feature_map)
        return rows @ feature_map @ columns.transpose(0, 1)


__all__ = ["SizeFreeGraph"]
