"""The road network that a training starts from."""

from collections.abc import Mapping
from typing import Any

from transformers import SamVisionModel

from ...modeling import SamRoadConfig, SamRoadForRoadGraph
from ...modeling.configuration_samroad import STRIDE
from ..pretraining.backbone_config import new_backbone_config
from ..starting_weights import load_dense_network, load_network, read_config
from .recipe import RoadDataSettings, RoadModelSettings

SAM_TYPES = ("sam", "sam_vision_model")


def road_model(settings: RoadModelSettings, data: RoadDataSettings) -> SamRoadForRoadGraph:
    """The network at step 0, in train mode.

    A SAM gives its image encoder with tables for the crops, a segmenter or an encoder its backbone; without any, a
    new S5 ViT or the `backbone` of the recipe. A road model is taken as it is.

    Raises:
        ValueError: if the network does not take these crops or channels, or is none of these.
    """
    if data.crop_size % STRIDE:
        raise ValueError(f"crop_size must be a multiple of {STRIDE}, got {data.crop_size}")
    given = {
        "point_sampling": settings.point_sampling,
        "resampling_radius": settings.resampling_radius,
        "topology_dropout": settings.topology_dropout,
        "max_neighbors": data.max_neighbors,
        "neighbor_radius": data.neighbor_radius,
        "road_spacing": data.spacing,
    }
    start = settings.road_model or settings.encoder or settings.segmenter
    if settings.road_model:
        model = load_network(SamRoadForRoadGraph, settings.road_model)
    elif start and read_config(start).model_type in SAM_TYPES:
        model = SamRoadForRoadGraph.from_sam(load_sam(start), data.crop_size, **given)
    else:
        model = on_backbone(settings, data, given)
    fixed, channels = model.config.fixed_size, model.config.num_channels
    if fixed is not None and fixed != data.crop_size:
        raise ValueError(f"{start} takes crops of {fixed} px, crop_size is {data.crop_size}")
    if channels != len(data.image_mean):
        raise ValueError(f"{start} takes {channels} channels, the images have {len(data.image_mean)}")
    if settings.gradient_checkpointing != "false":
        model.gradient_checkpointing_enable()
    return model.train()


def load_sam(name: str) -> SamVisionModel:
    """The image encoder of a SAM."""
    config = read_config(name)
    return load_network(SamVisionModel, name, config=getattr(config, "vision_config", config))


def on_backbone(settings: RoadModelSettings, data: RoadDataSettings, given: Mapping[str, Any]) -> SamRoadForRoadGraph:
    """A road model on the backbone of an encoder or a segmenter, without its pyramid, or on a new one."""
    start = settings.encoder or settings.segmenter
    if not start:
        return SamRoadForRoadGraph(
            SamRoadConfig(new_backbone_config(settings, data.crop_size, len(data.image_mean)), **given)
        )
    dense = load_dense_network(start)
    backbone = getattr(dense, "backbone", dense)
    model = SamRoadForRoadGraph(SamRoadConfig(backbone.config, **given))
    state = backbone.state_dict()
    model.backbone.load_state_dict({name: state[name] for name in model.backbone.state_dict()})
    return model
