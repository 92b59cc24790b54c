"""SAM-Road++: road graphs from images.

Source: SAM-Road++ (arXiv 2411.16733) and its official release; the numerics are those of the release, whose defects
`point_sampling="released"` repeats.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoBackbone, AutoConfig, PreTrainedModel, SamModel, SamVisionModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_samroad import CROP_SIZE, STRIDE, SamRoadConfig, is_sam
from .dpt import initialise_as_torch
from .image_sizes import check_pixel_values, pad_to_patches
from .modeling_s5_vit import S5ViTBackbone
from .pretrained_model import S5PreTrainedModel
from .road_encoder import (
    ChannelNorm,
    RoadNeck,
    build_encoder,
    last_map,
    resize_sam_tables,
)
from .road_points import gather_points, line_features, move_to_best, sample_features
from .road_topology import TopologyNetwork
from .task_model import MODEL_CLASSES

KEYPOINT, ROAD = 0, 1
"""Channels of the maps."""

RELEASED_LINES_INSIDE = 2


@dataclass
class SamRoadOutput(ModelOutput):
    """Output of [`SamRoadForRoadGraph`].

    Args:
        loss: sum of the losses that could be computed.
        logits: of keypoints and roads, float32 `(batch, 2, height, width)`.
        probabilities: their sigmoid.
        features: map of the encoder `(batch, feature_channels, height / 16, width / 16)`.
        connection_logits: `(batch, sources, neighbors)`, if points were given.
        mask_loss: mean binary cross-entropy of both maps, if `mask_labels` were given.
        topology_loss: mean binary cross-entropy of the valid pairs, if `connected` was given.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    probabilities: torch.Tensor | None = None
    features: torch.Tensor | None = None
    connection_logits: torch.Tensor | None = None
    mask_loss: torch.Tensor | None = None
    topology_loss: torch.Tensor | None = None


class SamRoadForRoadGraph(S5PreTrainedModel):
    """Road graphs: maps of keypoints and roads, and for pairs of points whether a road connects them.

    ```python
    >>> import torch, s5_hf
    >>> from s5_hf.modeling import S5ViTConfig, SamRoadConfig, SamRoadForRoadGraph
    >>> model = SamRoadForRoadGraph(SamRoadConfig(S5ViTConfig.from_size("ti"))).eval()
    >>> outputs = model(torch.zeros(1, 3, 64, 64))
    >>> outputs.probabilities.shape, outputs.features.shape
    (torch.Size([1, 2, 64, 64]), torch.Size([1, 256, 4, 4]))
    >>> points = torch.tensor([[[10.0, 12.0], [40.0, 12.0]]])  # x, y
    >>> pairs, valid = torch.tensor([[[[0, 1]]]]), torch.ones(1, 1, 1, dtype=torch.bool)
    >>> model.predict_connections(outputs.features, outputs.probabilities, points, pairs, valid).shape
    torch.Size([1, 1, 1])

    ```
    """

    config_class = SamRoadConfig
    _no_split_modules = [*S5PreTrainedModel._no_split_modules, "SamVisionLayer", "TopologyNetwork"]  # noqa: RUF012 - as in transformers
    _supports_flash_attn = False  # nor does SAM
    _supports_flex_attn = False

    def __init__(self, config: SamRoadConfig) -> None:
        super().__init__(config)
        self.backbone = build_encoder(config.backbone_config)
        channels = config.feature_channels
        fits = is_sam(config.backbone_config)
        self.neck = None if fits else RoadNeck(self.backbone.channels[-1], channels)
        widths = [channels, *(max(1, channels // part) for part in (2, 4, 8)), 2]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [nn.GELU()] if level else []
            layers.append(nn.ConvTranspose2d(before, after, kernel_size=2, stride=2))
            layers += [] if level else [ChannelNorm(after, eps=1e-6)]
        self.map_decoder = nn.Sequential(*layers)
        self.topology = TopologyNetwork(
            channels, config.topology_channels, config.topology_layers, config.topology_heads, config.topology_dropout
        )
        self.post_init()

    @classmethod
    def from_sam(cls, sam: str | PreTrainedModel, image_size: int = CROP_SIZE, **settings: Any) -> SamRoadForRoadGraph:
        """A model on the image encoder of a SAM, its tables resized; everything behind it is new.

        Args:
            sam: a `SamModel` or `SamVisionModel`, or what `SamVisionModel.from_pretrained` takes.
            image_size: side in pixels of the crops that the model will take.
            **settings: further arguments of `SamRoadConfig`.
        """
        if not isinstance(sam, PreTrainedModel):
            sam = SamVisionModel.from_pretrained(sam)
        vision = sam.config.vision_config if isinstance(sam, SamModel) else sam.config
        model = cls(SamRoadConfig({**vision.to_dict(), "image_size": image_size}, **settings))
        state = {name: value for name, value in sam.state_dict().items() if name.startswith("vision_encoder.")}
        model.backbone.load_state_dict(resize_sam_tables(state, model.config.backbone_config))
        return model.to(device=sam.device, dtype=sam.dtype)

    @classmethod
    def from_backbone(cls, backbone: str, **settings: Any) -> SamRoadForRoadGraph:
        """A model on a pre-trained backbone with a map of stride 16; everything behind it is new.

        Args:
            backbone: a folder or a name; an S5 ViT gives the map of its last block.
            **settings: further arguments of `SamRoadConfig`.
        """
        model = cls(SamRoadConfig(AutoConfig.from_pretrained(backbone), **settings))
        config = model.config.backbone_config
        loader = S5ViTBackbone if isinstance(model.backbone, S5ViTBackbone) else AutoBackbone
        model.backbone = loader.from_pretrained(backbone, config=config)
        return model.to(dtype=model.backbone.dtype)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """New weights as torch makes them; the backbone makes its own."""
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            initialise_as_torch(module)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.MultiheadAttention):
            init.xavier_uniform_(module.in_proj_weight)
            init.zeros_(module.in_proj_bias)
            init.zeros_(module.out_proj.bias)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        mask_labels: torch.Tensor | None = None,
        points: torch.Tensor | None = None,
        pairs: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
        connected: torch.Tensor | None = None,
        reduce_count: Callable[[torch.Tensor], torch.Tensor] | None = None,
        **kwargs: object,
    ) -> SamRoadOutput | tuple:
        """Maps of keypoints and roads and, with points, the connections of pairs as training sees them.

        Args:
            pixel_values: normalised images `(batch, channels, height, width)`; of `config.fixed_size` with a SAM.
            mask_labels: 0 or 1, `(batch, 2, height, width)`: keypoints and roads.
            points: graph points (x, y) in pixels, float `(batch, points, 2)`, padded with (0, 0).
            pairs: numbers (source, target) of points, int64 `(batch, sources, neighbors, 2)`.
            valid: bool `(batch, sources, neighbors)`, False for padding.
            connected: whether a road connects the pair, bool `(batch, sources, neighbors)`.
            reduce_count: turns the number of valid pairs into the divisor of their loss. Distributed training takes
                the mean over the processes here. By default the number itself.

        Raises:
            ValueError: for a wrong shape, an empty batch, a size the encoder does not take, or points without pairs.
        """
        self._check_images(pixel_values)
        height, width = pixel_values.shape[2:]
        features = self.encode(pad_to_patches(pixel_values, STRIDE))
        logits = self.map_decoder(features)[:, :, :height, :width].float()
        output = SamRoadOutput(logits=logits, probabilities=logits.sigmoid(), features=features)
        if mask_labels is not None:
            if mask_labels.shape != logits.shape:
                raise ValueError(f"mask_labels are {tuple(mask_labels.shape)}, expected {tuple(logits.shape)}")
            output.mask_loss = functional.binary_cross_entropy_with_logits(logits, mask_labels.to(logits.dtype))
            output.loss = output.mask_loss
        if points is None:
            return output
        if pairs is None or valid is None:
            raise ValueError("points need pairs and valid: which of them may be connected")
        moved = move_to_best(points, self._readable(output.probabilities.detach()).sum(dim=1), self._radius)
        output.connection_logits = self.connection_logits(
            features, output.probabilities, points, pairs, valid, targets=moved
        )
        if connected is not None:
            errors = functional.binary_cross_entropy_with_logits(
                output.connection_logits.float(), connected.to(torch.float32), reduction="none"
            )
            count = valid.sum()
            count = (count if reduce_count is None else reduce_count(count)).clamp(min=1)
            output.topology_loss = (errors * valid).sum() / count
            output.loss = output.topology_loss if output.loss is None else output.loss + output.topology_loss
        return output

    @property
    def _radius(self) -> int:
        return self.config.resampling_radius

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The feature map `(batch, feature_channels, rows, columns)` of images of whole patches."""
        if self.neck is None:
            return self.backbone(pixel_values).last_hidden_state
        return self.neck(last_map(self.backbone, pixel_values))

    @torch.no_grad()
    def predict_connections(
        self,
        features: torch.Tensor,
        probabilities: torch.Tensor,
        points: torch.Tensor,
        pairs: torch.Tensor,
        valid: torch.Tensor,
    ) -> torch.Tensor:
        """Probabilities `(batch, sources, neighbors)`, float32, that a road connects pairs; 0 for invalid ones.

        Args:
            features, probabilities: of `forward`; the latter may come from elsewhere, such as a merged scene.
            points: (x, y) in pixels of the maps, `(batch, points, 2)`. They are not moved.
            pairs: numbers (source, target) of points, int64 `(batch, sources, neighbors, 2)`.
            valid: bool `(batch, sources, neighbors)`.
        """
        logits = self.connection_logits(features, probabilities, points, pairs, valid)
        return logits.float().sigmoid().masked_fill(~valid, 0.0)

    # Takes what `predict_connections` takes, and the targets: training calls this, the graph of a scene that.
    def connection_logits(
        self,
        features: torch.Tensor,
        probabilities: torch.Tensor,
        points: torch.Tensor,
        pairs: torch.Tensor,
        valid: torch.Tensor,
        targets: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits `(batch, sources, neighbors)` of pairs; arguments as `predict_connections`.

        Args:
            targets: where points are when they are the target of a pair, by default where they are as a source.
        """
        _check_pairs(points, pairs, valid, len(features))
        points = points.float()
        targets = points if targets is None else targets.float()
        ends = [gather_points(at, pairs[..., end]) for end, at in enumerate((points, targets))]
        ends_of_features = [
            gather_points(sample_features(features, at, STRIDE), pairs[..., end])
            for end, at in enumerate((points, targets))
        ]
        released = self.config.point_sampling == "released"
        source, target = (end.flatten(1, 2) for end in ends)
        # The official code clamps rows 0 and 1 where columns 0 and 1 are meant, so only two lines of an image.
        inside = RELEASED_LINES_INSIDE if released else source.shape[1]
        lines = line_features(source, target, self._readable(probabilities.float())[:, ROAD], inside)
        lines = lines.unflatten(1, pairs.shape[1:3])
        return self.topology(*ends_of_features, lines, ends[1] - ends[0], valid)

    def _readable(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The maps as points are to read them: the released code takes x for the row."""
        if self.config.point_sampling == "exact":
            return probabilities
        if probabilities.shape[2] != probabilities.shape[3]:
            raise ValueError(
                f"point_sampling 'released' reads squares only; the maps have {tuple(probabilities.shape[2:])}"
            )
        return probabilities.transpose(2, 3)

    def _check_images(self, pixel_values: torch.Tensor) -> None:
        check_pixel_values(pixel_values, self.config.num_channels)
        side, size = self.config.fixed_size, tuple(pixel_values.shape[2:])
        if side is not None and size != (side, side):
            raise ValueError(f"pixel_values are {size[0]} x {size[1]} px, this SAM takes crops of {side} x {side} px")


MODEL_CLASSES[SamRoadConfig.model_type] = SamRoadForRoadGraph


def _check_pairs(points: torch.Tensor, pairs: torch.Tensor, valid: torch.Tensor, batch: int) -> None:
    """Raise a ValueError unless points, pairs and their mask have the shapes of one batch."""
    if points.ndim != 3 or points.shape[2] != 2 or len(points) != batch or points.shape[1] == 0:
        raise ValueError(f"points are {tuple(points.shape)}, expected ({batch}, points, 2), at least one point")
    if pairs.ndim != 4 or pairs.shape[3] != 2 or len(pairs) != batch or pairs.shape[2] == 0:
        raise ValueError(f"pairs are {tuple(pairs.shape)}, expected ({batch}, sources, neighbors, 2)")
    if valid.shape != pairs.shape[:3] or valid.dtype != torch.bool:
        raise ValueError(f"valid is {valid.dtype} {tuple(valid.shape)}, expected bool {tuple(pairs.shape[:3])}")


__all__ = ["SamRoadForRoadGraph", "SamRoadOutput"]
