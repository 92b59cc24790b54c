"""Configuration of SAM-Road++.

Source: SAM-Road++ (arXiv 2411.16733) and its official release; the defaults are the published ones for City-Scale.
"""

import copy
from collections.abc import Mapping
from typing import Any

from transformers import PretrainedConfig, SamVisionConfig

from .configuration_s5 import make_backbone_config, require_choice
from .configuration_s5_vit import S5ViTConfig, require_whole_numbers

POINT_SAMPLINGS = ("exact", "released")
STRIDE = 16
"""Pixels from one cell of the feature map to the next; the map decoder doubles the size four times."""

CROP_SIZE = 512


class SamRoadConfig(PretrainedConfig):
    """Configuration of [`SamRoadForRoadGraph`].

    Args:
        backbone_config: a `SamVisionConfig` of transformers (default: ViT-B for crops of 512 px), an [`S5ViTConfig`],
            or the configuration of any `AutoBackbone` whose last map is of stride 16, as an object or as a
            dictionary with `model_type`. A SAM takes crops of its `image_size` only, the others any size.
        feature_channels: channels of the feature map behind the encoder; those of a SAM's neck.
        topology_channels: width of the topology network.
        topology_layers, topology_heads: its layers and their attention heads; the heads divide the width.
        topology_dropout: dropout inside these layers.
        point_sampling: how scores are read at points. `exact` reads the score at (x, y) where the point lies.
            `released` reads it at (y, x), and keeps only the lines of the first two pairs of an image inside, as the
            official code does in training and in inference: for its checkpoints.
        resampling_radius: radius in pixels within which the target of a pair moves to the highest score in training: 2
            in the official code, 8 in the paper; 0 leaves it where it is.
        keypoint_threshold, road_threshold: scores, 0 to 1, above which a pixel may become a node.
        topology_threshold: score, 0 to 1, above which a pair of nodes is connected.
        keypoint_spacing, road_spacing: pixels; a node suppresses others within this distance.
        neighbor_radius: pixels within which a node may be connected.
        max_neighbors: pairs of a node, the nearest ones.
        initializer_range: standard deviation of the new weights of a SAM that is not loaded from a checkpoint.

    Raises:
        ValueError: for a value outside its range, or a configuration that is not one of a backbone.
    """

    model_type = "sam_road"
    sub_configs = {"backbone_config": SamVisionConfig}  # noqa: RUF012 - the attribute's form is transformers' own

    def __init__(
        self,
        backbone_config: PretrainedConfig | Mapping[str, Any] | None = None,
        feature_channels: int = 256,
        topology_channels: int = 128,
        topology_layers: int = 3,
        topology_heads: int = 4,
        topology_dropout: float = 0.1,
        point_sampling: str = "exact",
        resampling_radius: int = 2,
        keypoint_threshold: float = 0.242,
        road_threshold: float = 0.404,
        topology_threshold: float = 0.443,
        keypoint_spacing: int = 8,
        road_spacing: int = 16,
        neighbor_radius: int = 64,
        max_neighbors: int = 16,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.backbone_config = make_encoder_config(backbone_config, initializer_range)
        # One assignment an argument, as in every configuration of transformers, which reads both from `__init__`.
        self.feature_channels = feature_channels
        self.topology_channels = topology_channels
        self.topology_layers = topology_layers
        self.topology_heads = topology_heads
        self.topology_dropout = topology_dropout
        self.point_sampling = require_choice("point_sampling", point_sampling, POINT_SAMPLINGS)
        self.resampling_radius = resampling_radius
        self.keypoint_threshold = keypoint_threshold
        self.road_threshold = road_threshold
        self.topology_threshold = topology_threshold
        self.keypoint_spacing = keypoint_spacing
        self.road_spacing = road_spacing
        self.neighbor_radius = neighbor_radius
        self.max_neighbors = max_neighbors
        self.initializer_range = initializer_range
        super().__init__(**kwargs)
        self._check()

    @property
    def num_channels(self) -> int:
        """Channels of the images."""
        return getattr(self.backbone_config, "num_channels", 3)

    @property
    def fixed_size(self) -> int | None:
        """Side in pixels of the only crops that the encoder takes; `None` where it takes any size."""
        return self.backbone_config.image_size if is_sam(self.backbone_config) else None

    def _check(self) -> None:
        sizes = ("feature_channels", "topology_channels", "topology_layers", "topology_heads", "max_neighbors")
        require_whole_numbers(self, (*sizes, "keypoint_spacing", "road_spacing", "neighbor_radius"))
        require_whole_numbers(self, ("resampling_radius",), least=0)
        if self.topology_channels % self.topology_heads:
            raise ValueError(
                f"topology_channels {self.topology_channels} is not a multiple of topology_heads {self.topology_heads}"
            )
        for name in ("keypoint_threshold", "road_threshold", "topology_threshold", "topology_dropout"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}, expected a number from 0 to 1")
        if is_sam(self.backbone_config) and self.backbone_config.output_channels != self.feature_channels:
            raise ValueError(
                f"feature_channels is {self.feature_channels}, the neck of this SAM has "
                f"{self.backbone_config.output_channels}"
            )
        if is_sam(self.backbone_config) and (
            self.backbone_config.patch_size != STRIDE or self.backbone_config.image_size % STRIDE
        ):
            raise ValueError(
                f"a SAM with patches of {self.backbone_config.patch_size} px for images of "
                f"{self.backbone_config.image_size} px: expected patches of {STRIDE} px and whole patches"
            )


def is_sam(config: PretrainedConfig) -> bool:
    """Whether this is the configuration of the image encoder of a SAM."""
    return config.model_type == SamVisionConfig.model_type


def make_encoder_config(given: PretrainedConfig | Mapping[str, Any] | None, std: float) -> PretrainedConfig:
    """The configuration of the encoder; an S5 ViT gives the plain map of its last block, without a pyramid."""
    if given is None:  # the default deviation of transformers, 1e-10, is for weights that are overwritten
        return SamVisionConfig(image_size=CROP_SIZE, initializer_range=std)
    config = make_backbone_config(given)
    if config.model_type != S5ViTConfig.model_type or not config.use_feature_pyramid:
        return config
    config = copy.deepcopy(config)
    config.use_feature_pyramid = False
    config.out_indices = [config.num_hidden_layers]
    return config


__all__ = ["SamRoadConfig"]
