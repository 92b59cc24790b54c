"""Checkpoints of SAM-Road++ (arXiv 2411.16733), and the image encoder of the checkpoints of SAM it starts from."""

from collections.abc import Sequence

import torch
from transformers import SamVisionConfig

from ..modeling import SamRoadConfig, SamRoadForRoadGraph
from ..modeling.road_encoder import resize_sam_tables
from .filling import ConversionReport, State, fill
from .official_configs import count_layers, require
from .official_layout import rename
from .official_limits import Told

MARKER = "topo_net.pair_proj.weight"
SAM_MARKER = "image_encoder.patch_embed.proj.weight"
TRANSFORMERS_SAM_MARKER = "vision_encoder.patch_embed.projection.weight"
ENCODER = "backbone.vision_encoder."
GLOBAL_BLOCKS = {12: [2, 5, 8, 11], 24: [5, 11, 17, 23], 32: [7, 15, 23, 31]}
"""Of the published SAMs, by their depth."""

HEAD_CHANNELS = 32
"""Of the attention in the topology network, as published."""

# One rule a line, alike because they are data, as in official_layout.py.
NAMES: tuple[tuple[str, str], ...] = (
    (r"^backbone\.vision_encoder\.pos_embed$", "image_encoder.pos_embed"),
    (r"^backbone\.vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^backbone\.vision_encoder\.layers\.(\d+)\.layer_norm([12])\.", r"image_encoder.blocks.\1.norm\2."),
    (r"^backbone\.vision_encoder\.layers\.(\d+)\.(attn|mlp)\.", r"image_encoder.blocks.\1.\2."),
    (r"^backbone\.vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^backbone\.vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^backbone\.vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^backbone\.vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"^map_decoder\.", "map_decoder."),
    (r"^topology\.feature_projection\.", "topo_net.feature_proj."),
    (r"^topology\.pair_projection\.", "topo_net.pair_proj."),
    (r"^topology\.layers\.", "topo_net.transformer_encoder.layers."),
    (r"^topology\.classifier\.", "topo_net.output_proj."),
)


def samroad_name(name: str) -> str:
    """The name of a tensor in the official release."""
    return rename(name, NAMES)


def samroad_config(state: State, task: str | None, labels: Sequence[str] | None, told: Told) -> SamRoadConfig:
    """The configuration behind a released checkpoint, read off its shapes; it reads points as the release does."""
    channels = require(state, "topo_net.feature_proj.weight").shape[0]
    return SamRoadConfig(
        sam_config(state, "image_encoder.blocks."),
        feature_channels=require(state, "image_encoder.neck.0.weight").shape[0],
        topology_channels=channels,
        topology_layers=count_layers(state, "topo_net.transformer_encoder.layers."),
        topology_heads=max(1, channels // HEAD_CHANNELS),
        point_sampling="released",
    )


def sam_config(state: State, blocks: str) -> SamVisionConfig:
    """The configuration of the image encoder among tensors by their official names."""
    hidden_size, num_channels, patch_size, _ = require(state, SAM_MARKER).shape
    depth = count_layers(state, blocks)
    tables = [require(state, f"{blocks}{block}.attn.rel_pos_h") for block in range(depth)]
    side = require(state, "image_encoder.pos_embed").shape[1]
    global_blocks = GLOBAL_BLOCKS.get(depth, [block for block in range(depth) if len(tables[block]) == 2 * side - 1])
    windows = {(len(table) + 1) // 2 for block, table in enumerate(tables) if block not in global_blocks}
    if len(windows) > 1:
        raise ValueError(f"blocks of this SAM have windows of {sorted(windows)} patches; expected one size")
    return SamVisionConfig(
        hidden_size=hidden_size,
        num_hidden_layers=depth,
        num_attention_heads=hidden_size // tables[0].shape[1],
        num_channels=num_channels,
        patch_size=patch_size,
        image_size=side * patch_size,
        output_channels=require(state, "image_encoder.neck.0.weight").shape[0],
        mlp_dim=require(state, f"{blocks}0.mlp.lin1.weight").shape[0],
        window_size=windows.pop() if windows else 0,
        global_attn_indexes=global_blocks,
    )


def is_sam(state: State) -> bool:
    """Whether tensors are of a SAM, of its official release or of transformers, and not of SAM-Road++."""
    return MARKER not in state and (SAM_MARKER in state or TRANSFORMERS_SAM_MARKER in state)


def model_from_sam(state: State, image_size: int) -> tuple[SamRoadForRoadGraph, ConversionReport]:
    """A model on the image encoder of a SAM; what lies behind it is initialised from a fixed seed.

    Args:
        state: tensors of the checkpoint.
        image_size: side in pixels of the crops that the model takes.
    """
    if TRANSFORMERS_SAM_MARKER in state:
        state = {samroad_name(f"backbone.{name}") if is_vision(name) else name: state[name] for name in state}
    vision = sam_config(state, "image_encoder.blocks.")
    config = SamRoadConfig({**vision.to_dict(), "image_size": image_size}, feature_channels=vision.output_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = SamRoadForRoadGraph(config).state_dict()
    own = {name: samroad_name(name) for name in fresh}
    encoder = {name: require(state, source) for name, source in own.items() if name.startswith(ENCODER)}
    encoder = resize_sam_tables(encoder, config.backbone_config)
    new = [name for name in fresh if name not in encoder]
    model = fill(SamRoadForRoadGraph, config, fresh | encoder, lambda name: name)
    known = set(own.values())
    left_out = [name for name in state if name not in known]
    return model, ConversionReport("SAM, as a SAM-Road++ model", config, left_out=left_out, new=new)


def is_vision(name: str) -> bool:
    """Whether a tensor of a SAM of transformers is of its image encoder."""
    return name.startswith("vision_encoder.")
