"""CLIP as OpenAI and open_clip store it, and as transformers does.

OpenAI's own weights were trained with QuickGELU. Their layout differs from that of open_clip by three numbers, which
say so; all others run with exact GELU.
"""

import re

import torch
from transformers import CLIPConfig

State = dict[str, torch.Tensor]

MARKER = "visual.class_embedding"
OPENAI_NUMBERS = ("input_resolution", "context_length", "vocab_size")
HEAD_CHANNELS = 64
HEADS = {1280: 16, 1408: 16, 1664: 16}
"""Of the vision towers whose heads are wider: ViT-H, ViT-g and ViT-bigG."""

NAMES = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "visual.proj": "visual_projection.weight",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.": "text_model.final_layer_norm.",
    "text_projection": "text_projection.weight",
    "transformer.resblocks.": "text_model.encoder.layers.",
    "logit_scale": "logit_scale",
}
"""Whole names, and beginnings of names where they end with a dot."""
BLOCK_NAMES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
TRANSPOSED = ("visual.proj", "text_projection")
JOINED = re.compile(r"^(?P<block>.*\.resblocks\.\d+\.)attn\.in_proj_(?P<kind>weight|bias)$")
PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def from_open_clip(state: State) -> State:
    """Tensors of open_clip or OpenAI by their names in transformers; those without a place there keep their names."""
    converted: State = {}
    for name, tensor in state.items():
        if name in OPENAI_NUMBERS:
            continue
        joined = JOINED.match(name)
        if joined is not None:
            block = transformers_name(joined["block"])
            parts = dict(zip(PROJECTIONS, tensor.chunk(3), strict=True))
            converted |= {f"{block}self_attn.{part}.{joined['kind']}": value for part, value in parts.items()}
        else:
            converted[transformers_name(name)] = tensor.T if name in TRANSPOSED else tensor
    return {name: tensor.contiguous() for name, tensor in converted.items()}


def to_open_clip(state: State, quick_gelu: bool = False) -> State:
    """The way back.

    Args:
        state: of a `CLIPModel`.
        quick_gelu: whether the model runs with QuickGELU; OpenAI's three numbers then say so.
    """
    converted: State = {}
    for name, tensor in state.items():
        if any(f".{part}." in name for part in PROJECTIONS[1:]):
            continue  # joined with the first of the three
        if f".{PROJECTIONS[0]}." in name:
            parts = [state[name.replace(PROJECTIONS[0], part)] for part in PROJECTIONS]
            block, _, kind = name.partition(f"self_attn.{PROJECTIONS[0]}.")
            converted[f"{open_clip_name(block)}attn.in_proj_{kind}"] = torch.cat(parts)
        else:
            own = open_clip_name(name)
            converted[own] = tensor.T.contiguous() if own in TRANSPOSED else tensor
    if quick_gelu:
        config = clip_config(converted, quick_gelu)
        numbers = (
            config.vision_config.image_size,
            config.text_config.max_position_embeddings,
            config.text_config.vocab_size,
        )
        converted |= {name: torch.tensor(number) for name, number in zip(OPENAI_NUMBERS, numbers, strict=True)}
    return converted


def transformers_name(name: str) -> str:
    """The name in transformers of a tensor of open_clip."""
    return renamed(name, NAMES, BLOCK_NAMES)


def open_clip_name(name: str) -> str:
    """The name in open_clip of a tensor of transformers."""
    names, blocks = ({new: old for old, new in table.items()} for table in (NAMES, BLOCK_NAMES))
    return renamed(name, names, blocks)


def renamed(name: str, names: dict[str, str], block_names: dict[str, str]) -> str:
    """A name by two tables: of its beginning, and of what follows the number of a block."""
    for old, new in names.items():
        if name == old or (old.endswith(".") and name.startswith(old)):
            rest = name.removeprefix(old)
            number, dot, part = rest.partition(".")
            for inner, other in block_names.items():
                if dot and number.isdecimal() and part.startswith(f"{inner}."):
                    rest = f"{number}.{other}{part.removeprefix(inner)}"
            return new + rest
    return name


def is_openai(state: State) -> bool:
    """Whether the tensors are of OpenAI's own layout."""
    return all(name in state for name in OPENAI_NUMBERS)


def clip_config(state: State, quick_gelu: bool, vision_heads: int | None = None) -> CLIPConfig:
    """The configuration behind tensors of open_clip.

    Args:
        state: the tensors.
        quick_gelu: whether the model runs with QuickGELU.
        vision_heads: of the vision tower, where its heads do not have 64 channels, or the known other numbers.

    Raises:
        ValueError: a tensor is missing that shows a size.
    """
    needed = [*TRANSPOSED, "visual.conv1.weight", "visual.positional_embedding", "token_embedding.weight"]
    missing = [name for name in (*needed, "positional_embedding") if name not in state]
    if missing:
        raise ValueError(f"the CLIP lacks {', '.join(missing)}; expected both towers of a vision transformer")
    width, _, patch_size, _ = state["visual.conv1.weight"].shape
    grid = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    vocabulary, text_width = state["token_embedding.weight"].shape
    common = {"hidden_act": "quick_gelu" if quick_gelu else "gelu"}
    return CLIPConfig(
        vision_config={
            **tower(state, "visual.transformer.", width, vision_heads or HEADS.get(width)),
            "patch_size": patch_size,
            "image_size": grid * patch_size,
            **common,
        },
        text_config={
            **tower(state, "transformer.", text_width, None),
            "vocab_size": vocabulary,
            "max_position_embeddings": len(state["positional_embedding"]),
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": 0,
            **common,
        },
        projection_dim=state["visual.proj"].shape[1],
    )


def tower(state: State, prefix: str, width: int, heads: int | None) -> dict[str, int]:
    """The sizes of one of the two transformers."""
    blocks = {name.split(".")[prefix.count(".") + 1] for name in state if name.startswith(f"{prefix}resblocks.")}
    return {
        "hidden_size": width,
        "num_hidden_layers": len(blocks),
        "num_attention_heads": heads or max(width // HEAD_CHANNELS, 1),
        "intermediate_size": state[f"{prefix}resblocks.0.mlp.c_fc.weight"].shape[0],
    }
