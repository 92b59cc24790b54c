"""Checkpoints of UniMatch V2 (arXiv 2410.10777): DINOv2 under `backbone.`, a DPT decoder under `head.`.

A checkpoint holds the same tensors twice, under `model` and, averaged, under `model_ema`. DINOv2's three projections
of attention are one tensor there and three in transformers; every other tensor has one counterpart.
"""

import re
from collections.abc import Mapping, Sequence

import torch

from ..modeling import S5Dinov2Config, S5SegmentationConfig
from ..modeling.configuration_s5_vit import default_dpt_taps
from .official_configs import checked_taps, count_layers, known_heads, named_tasks, require, segmentation_settings
from .official_layout import rename
from .official_limits import Told

State = dict[str, torch.Tensor]

MARKER = "head.scratch.output_conv.2.weight"

PUBLISHED_DEPTHS = (12, 24)

# One rule a line, alike because they are data, as in official_layout.py.
NAMES: tuple[tuple[str, str], ...] = (
    (r"^backbone\.embeddings\.(cls_token|mask_token)$", r"backbone.\1"),
    (r"^backbone\.embeddings\.position_embeddings$", "backbone.pos_embed"),
    (r"^backbone\.embeddings\.patch_embeddings\.projection\.", "backbone.patch_embed.proj."),
    (r"^backbone\.encoder\.layer\.(\d+)\.(norm[12]|mlp\.fc[12])\.", r"backbone.blocks.\1.\2."),
    (r"^backbone\.encoder\.layer\.(\d+)\.layer_scale([12])\.lambda1$", r"backbone.blocks.\1.ls\2.gamma"),
    # The two spellings of attention are those of later and of earlier releases of transformers 5.
    (r"^backbone\.encoder\.layer\.(\d+)\.attention\.(?:o_proj|output\.dense)\.", r"backbone.blocks.\1.attn.proj."),
    (r"^backbone\.layernorm\.", "backbone.norm."),
    (r"^decoders\.0\.projections\.", "head.projects."),
    (r"^decoders\.0\.resizes\.", "head.resize_layers."),
    (r"^decoders\.0\.level_convs\.0\.", "head.scratch.layer1_rn."),
    (r"^decoders\.0\.level_convs\.1\.", "head.scratch.layer2_rn."),
    (r"^decoders\.0\.level_convs\.2\.", "head.scratch.layer3_rn."),
    (r"^decoders\.0\.level_convs\.3\.", "head.scratch.layer4_rn."),
    (r"^decoders\.0\.output\.", "head.scratch.output_conv.0."),
    (r"^classifiers\.0\.", "head.scratch.output_conv.2."),
)
FUSION = re.compile(r"^decoders\.0\.fusions\.(\d)\.(skip_unit|unit|output)\.(?:(first|second)\.)?(weight|bias)$")
FUSION_PARTS = {"skip_unit": "resConfUnit1.", "unit": "resConfUnit2.", "output": "out_conv."}
CONVOLUTIONS = {"first": "conv1.", "second": "conv2.", None: ""}
# Query, key and value of attention, in the spellings of later and of earlier releases of transformers 5.
PROJECTION = re.compile(
    r"^backbone\.encoder\.layer\.(\d+)\.attention\.(?:attention\.)?"
    r"(q_proj|k_proj|v_proj|query|key|value)\.(weight|bias)$"
)
JOINED = re.compile(r"^(backbone\.blocks\.\d+\.attn\.)qkv\.(weight|bias)$")
THIRD = re.compile(r"^(backbone\.blocks\.\d+\.attn\.)([qkv])\.(weight|bias)$")


def unimatch_v2_config(
    state: Mapping[str, torch.Tensor], task: str | None, labels: Sequence[str] | None, told: Told
) -> S5SegmentationConfig:
    """The configuration behind a checkpoint, read off its shapes."""
    hidden_size, num_channels, patch_size, _ = require(state, "backbone.patch_embed.proj.weight").shape
    depth = count_layers(state, "backbone.blocks.")
    grid = round((require(state, "backbone.pos_embed").shape[1] - 1) ** 0.5)
    levels = [require(state, f"head.projects.{index}.weight").shape[0] for index in range(4)]
    return S5SegmentationConfig(
        backbone_config=S5Dinov2Config(
            hidden_size=hidden_size,
            num_channels=num_channels,
            patch_size=patch_size,
            num_hidden_layers=depth,
            num_attention_heads=told.num_attention_heads or known_heads(hidden_size),
            mlp_ratio=require(state, "backbone.blocks.0.mlp.fc1.weight").shape[0] // hidden_size,
            image_size=grid * patch_size,
            out_indices=taps_of(depth, told),
        ),
        tasks=named_tasks({"": require(state, MARKER).shape[0]}, task, labels, segmentation_settings),
        decoder="dpt",
        decoder_channels=require(state, "head.scratch.layer1_rn.weight").shape[0],
        decoder_level_channels=levels,
        classifier_dropout=0.0,
        image_fit="resize",
    )


def taps_of(depth: int, told: Told) -> list[int]:
    """The blocks that feed the decoder, counted from 1, or a ValueError where nobody says which."""
    if told.taps is not None:
        return checked_taps(told.taps, depth)
    if depth not in PUBLISHED_DEPTHS:
        raise ValueError(
            f"DINOv2 of {depth} blocks is none of the known sizes: give taps (--taps), no tensor shows them"
        )
    return default_dpt_taps(depth)


def unimatch_v2_name(name: str) -> str:
    """The name of a tensor in a checkpoint whose attention is `split_attention`."""
    fusion, projection = FUSION.match(name), PROJECTION.match(name)
    if fusion:
        index, part, convolution, kind = fusion.groups()
        return f"head.scratch.refinenet{int(index) + 1}.{FUSION_PARTS[part]}{CONVOLUTIONS[convolution]}{kind}"
    if projection:
        block, third, kind = projection.groups()
        return f"backbone.blocks.{block}.attn.{third[0]}.{kind}"
    return rename(name, NAMES)


# The way there and the way back begin alike: both leave everything but the attention as it is.


def split_attention(state: State) -> State:
    """Tensors with `attn.qkv` as its thirds `attn.q`, `attn.k` and `attn.v`."""
    split: State = {}
    for name, tensor in state.items():
        joined = JOINED.match(name)
        if joined is None:
            split[name] = tensor
            continue
        for third, part in zip("qkv", tensor.chunk(3), strict=True):
            # A copy: a view would keep the other two thirds in memory and in files.
            split[f"{joined[1]}{third}.{joined[2]}"] = part.clone()
    return split


def join_attention(state: State) -> State:
    """The way back from `split_attention`."""
    joined: State = {}
    for name, tensor in state.items():
        third = THIRD.match(name)
        if third is None:
            joined[name] = tensor
        elif third[2] == "q":
            parts = [state[f"{third[1]}{letter}.{third[3]}"] for letter in "qkv"]
            joined[f"{third[1]}qkv.{third[3]}"] = torch.cat(parts)
    return joined


def unimatch_v2_content(state: State) -> dict[str, object]:
    """What a file holds: the network under both of the names that its readers look for."""
    tensors = {f"module.{name}": tensor for name, tensor in state.items()}
    return {"model": tensors, "model_ema": tensors}
