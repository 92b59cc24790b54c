"""SegEarth-R1 as its release stores it, and as this package does."""

import re

import torch

from ..modeling import SegEarthR1Config
from .filling import State

MARKER = "SEG_token_projector.weight"
VISION = "model.vision_tower."
PUBLISHED_HEADS = {2048: 32}
HEAD_CHANNELS = 64
SAMPLES = 3 * 4 * 2
"""Numbers that a head of the pixel decoder predicts for its places: levels, points, x and y."""

DEAD = re.compile(
    r"seg_query|predictor\.((query_feat|query_embed|SEG_query_embed|new_query_embed)\.|(SEG|CLASS)_proj\.)"
    r"|.*\.relative_position_index$|.*\.rotary_emb\.inv_freq$"
)
"""Tensors of the release that its own code never uses, or computes."""
UNUSED = "backbone.swin.layernorm."
"""Of transformers' Swin, which the four feature maps do not reach; the release has none."""

SWIN = "backbone.swin."
BLOCK = f"{SWIN}encoder.layers.#.blocks.#"
DECODER = "mask_decoder."
PIXELS = f"{DECODER}pixel_decoder."
LAYER = f"{DECODER}decoder.layers.#"
PLACES = (
    ("model.embed_tokens", "language_model.embed_tokens"),
    ("model.final_layernorm", "language_model.final_layernorm"),
    ("model.layers.#", "language_model.layers.#"),
    ("lm_head", "lm_head"),
    ("model.mm_projector.proj1", "connector.first"),
    ("model.mm_projector.norm1", "connector.first_norm"),
    ("model.mm_projector.proj2", "connector.second"),
    ("model.mm_projector.norm2", "connector.second_norm"),
    ("model.mm_projector.fc", "connector.output"),
    ("text_projector", "projector.text_projection"),
    ("origin_SEG_token_projector", "projector.mean_projection"),
    ("local_project", "projector.patch_projection"),
    ("SEG_token_projector", "projector.query_projection"),
    ("d_layers.layers.0.0.norm_media", "projector.patch_norm"),
    ("d_layers.layers.0.0.norm_latents", "projector.latent_norm"),
    ("d_layers.layers.0.0.to_q", "projector.to_query"),
    ("d_layers.layers.0.0.to_kv", "projector.to_key_value"),
    ("d_layers.layers.0.0.to_out", "projector.to_output"),
    ("d_layers.layers.0.1.0", "projector.feed_forward_norm"),
    ("d_layers.layers.0.1.1", "projector.feed_forward_in"),
    ("d_layers.layers.0.1.3", "projector.feed_forward_out"),
    ("d_layers.norm", "projector.norm"),
    ("pixel_decoder.input_proj.#", f"{PIXELS}input_projections.#"),
    ("pixel_decoder.transformer.level_embed", f"{PIXELS}level_embed"),
    ("pixel_decoder.transformer.encoder.layers.#.self_attn", f"{PIXELS}encoder.layers.#.self_attn"),
    ("pixel_decoder.transformer.encoder.layers.#.norm1", f"{PIXELS}encoder.layers.#.self_attn_layer_norm"),
    ("pixel_decoder.transformer.encoder.layers.#.linear1", f"{PIXELS}encoder.layers.#.fc1"),
    ("pixel_decoder.transformer.encoder.layers.#.linear2", f"{PIXELS}encoder.layers.#.fc2"),
    ("pixel_decoder.transformer.encoder.layers.#.norm2", f"{PIXELS}encoder.layers.#.final_layer_norm"),
    ("pixel_decoder.mask_features", f"{PIXELS}mask_projection"),
    ("pixel_decoder.adapter_1", f"{PIXELS}adapter_1"),
    ("pixel_decoder.layer_1", f"{PIXELS}layer_1"),
    ("predictor.transformer_self_attention_layers.#.self_attn", f"{LAYER}.self_attn"),
    ("predictor.transformer_self_attention_layers.#.norm", f"{LAYER}.self_attn_layer_norm"),
    ("predictor.transformer_cross_attention_layers.#.multihead_attn", f"{LAYER}.cross_attn"),
    ("predictor.transformer_cross_attention_layers.#.norm", f"{LAYER}.cross_attn_layer_norm"),
    ("predictor.transformer_ffn_layers.#.linear1", f"{LAYER}.fc1"),
    ("predictor.transformer_ffn_layers.#.linear2", f"{LAYER}.fc2"),
    ("predictor.transformer_ffn_layers.#.norm", f"{LAYER}.final_layer_norm"),
    ("predictor.decoder_norm", f"{DECODER}decoder.layernorm"),
    ("predictor.level_embed", f"{DECODER}level_embed"),
    ("predictor.mask_embed.layers.#", f"{DECODER}decoder.mask_predictor.mask_embedder.#.0"),
    (f"{VISION}patch_embed.proj", f"{SWIN}embeddings.patch_embeddings.projection"),
    (f"{VISION}patch_embed.norm", f"{SWIN}embeddings.norm"),
    (f"{VISION}layers.#.blocks.#.norm1", f"{BLOCK}.layernorm_before"),
    (f"{VISION}layers.#.blocks.#.norm2", f"{BLOCK}.layernorm_after"),
    (
        f"{VISION}layers.#.blocks.#.attn.relative_position_bias_table",
        f"{BLOCK}.attention.relative_position_bias.relative_position_bias_table",
    ),
    (f"{VISION}layers.#.blocks.#.attn.proj", f"{BLOCK}.attention.o_proj"),
    (f"{VISION}layers.#.blocks.#.attn", f"{BLOCK}.attention"),
    (f"{VISION}layers.#.blocks.#.mlp", f"{BLOCK}.mlp"),
    (f"{VISION}layers.#.downsample", f"{SWIN}encoder.layers.#.downsample"),
)
"""Beginnings of names, of the release and here; `#` is a number, and the earlier of two goes first."""
STAGE_NORM = re.compile(rf"{re.escape(VISION)}norm(\d)\.(weight|bias)")
OWN_STAGE_NORM = re.compile(r"backbone\.hidden_states_norms\.stage(\d)\.(weight|bias)")

PARTS = ("q_proj", "k_proj", "v_proj")
FUSED = (
    (re.compile(r"(language_model\.layers\.\d+\.self_attn\.)query_key_value\.(weight|bias)"), "query_key_value."),
    (re.compile(r"(backbone\.swin\.encoder\.layers\.\d+\.blocks\.\d+\.attention\.)qkv\.(weight|bias)"), "qkv."),
    (re.compile(r"(mask_decoder\.decoder\.layers\.\d+\.self_attn\.)in_proj_(weight|bias)"), "in_proj_"),
)
"""Where three projections are one tensor; in the language model they are interleaved, head by head."""
INTERLEAVED = FUSED[0][0]


def from_release(state: State, heads: int) -> State:
    """Tensors of the release by their names here; dead ones are left out.

    Args:
        state: of the release; attention of the language model fused, as it was saved, or in three parts.
        heads: of the language model.
    """
    converted: State = {}
    for release_name, tensor in state.items():
        if DEAD.match(release_name):
            continue
        name = own_name(release_name)
        for pattern, _ in FUSED:
            if fused := pattern.fullmatch(name):
                parts = split_heads(tensor, heads) if pattern is INTERLEAVED else tensor.chunk(3)
                begin, kind = fused.groups()
                converted |= {f"{begin}{part}.{kind}": value for part, value in zip(PARTS, parts, strict=True)}
                break
        else:
            converted[name] = tensor
    return {name: tensor.contiguous() for name, tensor in converted.items()}


def to_release(state: State, heads: int) -> State:
    """The way back: names and fused tensors as the release has them, without its dead ones."""
    converted: State = {}
    for name, tensor in state.items():
        if name.startswith(UNUSED):
            continue
        joined = joined_name(name)
        if joined is None:
            converted[release_name(name)] = tensor
        elif f".{PARTS[0]}." in name:
            parts = [state[name.replace(PARTS[0], part)] for part in PARTS]
            together = join_heads(parts, heads) if INTERLEAVED.fullmatch(joined) else torch.cat(parts)
            converted[release_name(joined)] = together
    return converted


def joined_name(name: str) -> str | None:
    """The name of the tensor that one of three projections is a part of; `None` for other tensors."""
    for part in PARTS:
        for pattern, middle in FUSED:
            if f".{part}." in name and pattern.fullmatch(joined := name.replace(f"{part}.", middle)):
                return joined
    return None


def split_heads(tensor: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values of a tensor whose rows are `(heads, 3, channels of a head)`."""
    rows = tensor.view(heads, 3, -1, *tensor.shape[1:])
    return tuple(part.flatten(0, 1) for part in rows.unbind(dim=1))


def join_heads(parts: list[torch.Tensor], heads: int) -> torch.Tensor:
    """The way back."""
    return torch.stack([part.unflatten(0, (heads, -1)) for part in parts], dim=1).flatten(0, 2)


def own_name(name: str) -> str:
    """The name here of a tensor of the release; a tensor without a place keeps its name."""
    if norm := STAGE_NORM.fullmatch(name):
        return f"backbone.hidden_states_norms.stage{int(norm[1]) + 1}.{norm[2]}"
    return renamed(name, TO_OWN)


def release_name(name: str) -> str:
    """The name in the release of a tensor of this package."""
    if norm := OWN_STAGE_NORM.fullmatch(name):
        return f"{VISION}norm{int(norm[1]) - 1}.{norm[2]}"
    return renamed(name, TO_RELEASE)


def renamed(name: str, places: list[tuple[re.Pattern[str], str]]) -> str:
    """A name by the first place that fits."""
    for pattern, template in places:
        if found := pattern.match(name):
            numbers = iter(found.groups())
            return (
                "".join(next(numbers) if part == "#" else part for part in re.split("(#)", template))
                + (name[found.end() :])
            )
    return name


def place_pattern(place: str) -> re.Pattern[str]:
    """What names that begin with a place look like."""
    return re.compile(re.escape(place).replace(r"\#", r"(\d+)").replace("#", r"(\d+)") + r"(?=\.|$)")


TO_OWN = [(place_pattern(release), own) for release, own in PLACES]
TO_RELEASE = [(place_pattern(own), release) for release, own in PLACES]


def release_config(state: State, heads: int | None = None) -> SegEarthR1Config:
    """The configuration behind tensors of the release.

    Args:
        state: the tensors.
        heads: of the language model, where its width is not the published one: no tensor shows it.

    Raises:
        ValueError: a tensor is missing that shows a size, or `heads` has to be told.
    """
    width = shape(state, "model.embed_tokens.weight")[1]
    heads = heads or PUBLISHED_HEADS.get(width)
    if heads is None:
        raise ValueError(f"a language model of the width {width}: tell its heads with num_attention_heads")
    projector = shape(state, "text_projector.weight")[0]
    pixels = "pixel_decoder.transformer.encoder.layers."
    return SegEarthR1Config(
        backbone_config=swin_settings(state),
        language_config={
            "model_type": "phi",
            "vocab_size": shape(state, "model.embed_tokens.weight")[0],
            "hidden_size": width,
            "intermediate_size": shape(state, "model.layers.0.mlp.fc1.weight")[0],
            "num_hidden_layers": count(state, "model.layers."),
            "num_attention_heads": heads,
            "partial_rotary_factor": 0.5,
        },
        image_size=64 * shape(state, "model.mm_projector.norm1.weight")[1],
        image_channels=shape(state, f"{VISION}patch_embed.proj.weight")[1],
        projector_channels=projector,
        projector_heads=max(projector // HEAD_CHANNELS, 1),
        decoder_channels=shape(state, "pixel_decoder.mask_features.weight")[1],
        decoder_heads=shape(state, f"{pixels}0.self_attn.sampling_offsets.bias")[0] // SAMPLES,
        pixel_decoder_layers=count(state, pixels),
        mask_decoder_layers=count(state, "predictor.transformer_ffn_layers."),
        pixel_decoder_feedforward=shape(state, f"{pixels}0.linear1.bias")[0],
        mask_decoder_feedforward=shape(state, "predictor.transformer_ffn_layers.0.linear1.bias")[0],
    )


def swin_settings(state: State) -> dict[str, object]:
    """The sizes of the vision encoder."""
    stages = range(count(state, f"{VISION}layers."))
    tables = [shape(state, f"{VISION}layers.{stage}.blocks.0.attn.relative_position_bias_table") for stage in stages]
    return {
        "model_type": "swin",
        "embed_dim": shape(state, f"{VISION}patch_embed.proj.weight")[0],
        "num_channels": shape(state, f"{VISION}patch_embed.proj.weight")[1],
        "depths": [count(state, f"{VISION}layers.{stage}.blocks.") for stage in stages],
        "num_heads": [table[1] for table in tables],
        "window_size": (round(tables[0][0] ** 0.5) + 1) // 2,
        "out_features": [f"stage{stage + 1}" for stage in stages],
        "drop_path_rate": 0.3,
    }


def shape(state: State, name: str) -> torch.Size:
    """The shape of a tensor that must be there."""
    if name not in state:
        raise ValueError(f"the checkpoint of SegEarth-R1 lacks {name}, which shows a size of the network")
    return state[name].shape


def count(state: State, begin: str) -> int:
    """How many numbers follow the beginning of names."""
    return len({name.removeprefix(begin).split(".")[0] for name in state if name.startswith(begin)})
