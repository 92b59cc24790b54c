"""The dense segmenter written so that one traced graph serves every height, width and batch.

Two parts of the network look at the size of their input while Python runs: the position embeddings are resized only
where the grid is not the stored one, and adaptive pooling chooses its bins. A tracer would freeze what it saw. The
classes here compute the same numbers without such a choice.
"""

import copy
from typing import ClassVar

import torch
from torch.export import Dim

from ..modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation, S5ViTBackbone
from ..modeling.deterministic_operations import averaging_matrix
from ..modeling.upernet import UPerNetDecoder
from ..modeling.vit_embeddings import S5ViTEmbeddings, resize_position_embeddings
from .graph import ExportGraph, free_images


class SizeFreeGraph(ExportGraph):
    """`pixel_values` `(batch, channels, height, width)` to logits `(batch, labels, height, width)`, one task.

    Height and width must be multiples of the patch size.

    Args:
        dense: a segmenter with one task and no experts (see `merge_experts`). It is copied.

    Raises:
        ValueError: if the model has several tasks, experts, another decoder than UPerNet, or a backbone that is not
            an S5 ViT.
    """

    outputs: ClassVar = {"logits": ("batch", None, "height", "width")}

    def __init__(self, dense: S5ForSemanticSegmentation) -> None:
        super().__init__()
        require_dense(dense)
        if dense.config.decoder != "upernet":
            raise ValueError(
                f"only models with the upernet decoder can be exported, this one has {dense.config.decoder!r}"
            )
        self.model = with_free_grid(dense)
        decoder = SizeFreeDecoder(dense.backbone.channels, dense.config.decoder_channels, dense.config.pool_scales)
        decoder.load_state_dict(self.model.decoders[0].state_dict())
        self.model.decoders[0] = decoder.eval().requires_grad_(False)

    def example(self) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, Dim] | None]]:
        """See `ExportGraph`; no two sizes of the example agree by chance."""
        vit = self.model.backbone.config
        image = torch.zeros(2, vit.num_channels, 5 * vit.patch_size, 7 * vit.patch_size)
        return {"pixel_values": image}, {"pixel_values": free_images(vit.patch_size)}

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values, return_dict=True).logits


def require_dense(model: S5ForSemanticSegmentation | S5ForOrientedObjectDetection) -> None:
    """Raise a ValueError unless a model has one task, no experts and an S5 ViT."""
    if not isinstance(model.backbone, S5ViTBackbone):
        raise ValueError(
            f"only models on an S5 ViT can be exported, this backbone is a {model.backbone.config.model_type!r}"
        )
    if len(model.config.tasks) != 1 or model.backbone.config.num_experts:
        raise ValueError(
            f"expected a dense model of one task, got the tasks {', '.join(model.config.tasks)} and "
            f"{model.backbone.config.num_experts} experts; merge_experts makes a dense one"
        )


def with_free_grid(
    dense: S5ForSemanticSegmentation | S5ForOrientedObjectDetection,
) -> S5ForSemanticSegmentation | S5ForOrientedObjectDetection:
    """A copy in float32, without gradients, whose position embeddings suit every grid without a choice."""
    model = copy.deepcopy(dense).eval().float().requires_grad_(False)
    embeddings = SizeFreeEmbeddings(dense.backbone.config)
    embeddings.load_state_dict(model.backbone.embeddings.state_dict())
    model.backbone.embeddings = embeddings.requires_grad_(False)
    return model


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


__all__ = ["SizeFreeGraph", "require_dense", "with_free_grid"]
