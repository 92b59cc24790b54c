"""MAE encoders, in the layout of facebook/timm and in that of transformers' ViTMAE, as S5 ViT weights.

The class token's position is dropped and the grid of position embeddings resized (bicubic, align_corners False), as
officially. The decoder, the mask token and the final norm have no place in the S5 ViT.
"""

import re

import torch

from ..modeling.vit_embeddings import resize_position_embeddings

TIMM_NAMES = {
    "norm1": "attention_norm",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.projection",
    "norm2": "feed_forward_norm",
    "mlp.fc1": "feed_forward.fc1",
    "mlp.fc2": "feed_forward.fc2",
}
TRANSFORMERS_NAMES = {
    "layernorm_before": "attention_norm",
    "attention.output.dense": "attention.projection",
    "layernorm_after": "feed_forward_norm",
    "intermediate.dense": "feed_forward.fc1",
    "output.dense": "feed_forward.fc2",
}
LEFT_OUT = re.compile(r"^(decoder_|decoder\.|mask_token$|norm\.|fc_norm\.|head\.|layernorm\.)")


def is_timm_mae(state: dict[str, torch.Tensor]) -> bool:
    """Whether the names are those of timm's ViT, which facebook's MAE uses."""
    return "blocks.0.attn.qkv.weight" in state


def is_transformers_mae(state: dict[str, torch.Tensor]) -> bool:
    """Whether the names are those that transformers writes for ViTMAE, with or without decoder."""
    return any(name.removeprefix("vit.") == "encoder.layer.0.layernorm_before.weight" for name in state)


def encoder_from_timm(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Encoder tensors under this package's names, and the names that were left out."""
    renamed, left_out = {}, []
    for name, tensor in state.items():
        block = re.match(r"^blocks\.(\d+)\.(.+)\.(weight|bias)$", name)
        if LEFT_OUT.match(name):
            left_out.append(name)
        elif block and block[2] in TIMM_NAMES:
            renamed[f"encoder.layers.{block[1]}.{TIMM_NAMES[block[2]]}.{block[3]}"] = tensor
        else:
            renamed[embedding_name(name, "patch_embed.proj.", "pos_embed")] = tensor
    return renamed, left_out


def encoder_from_transformers(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Encoder tensors under this package's names (query, key and value joined), and the names left out."""
    renamed, left_out = {}, []
    for full_name, tensor in state.items():
        name = full_name.removeprefix("vit.")
        block = re.match(r"^encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$", name)
        if LEFT_OUT.match(name):
            left_out.append(full_name)
        elif block and block[2] in TRANSFORMERS_NAMES:
            renamed[f"encoder.layers.{block[1]}.{TRANSFORMERS_NAMES[block[2]]}.{block[3]}"] = tensor
        elif block and block[2] == "attention.attention.query":
            prefix = full_name[: -len(f"query.{block[3]}")]
            parts = [state[f"{prefix}{part}.{block[3]}"] for part in ("query", "key", "value")]
            renamed[f"encoder.layers.{block[1]}.attention.qkv.{block[3]}"] = torch.cat(parts)
        elif not (block and block[2] in ("attention.attention.key", "attention.attention.value")):
            short = name.removeprefix("embeddings.")
            renamed[embedding_name(short, "patch_embeddings.projection.", "position_embeddings")] = tensor
    return renamed, left_out


def embedding_name(name: str, patch_prefix: str, position_name: str) -> str:
    """The name of an embedding tensor here; what is not recognised keeps its name, and is reported as unexpected."""
    if name == position_name:
        return "embeddings.position_embeddings"
    if name == "cls_token":
        return "embeddings.cls_token"
    return re.sub(rf"^{re.escape(patch_prefix)}", "embeddings.projection.", name)


def without_class_position(position_embeddings: torch.Tensor, grid: int) -> torch.Tensor:
    """Drop the class token's position of `(1, 1 + n * n, hidden)` and resize the rest to `(1, grid * grid, hidden)`.

    Raises:
        ValueError: if the positions are not a class token and a square grid.
    """
    patches = position_embeddings[:, 1:]
    stored = round(patches.shape[1] ** 0.5)
    if stored * stored != patches.shape[1]:
        raise ValueError(
            f"the position embeddings have the shape {tuple(position_embeddings.shape)}, expected one class token "
            "and a square grid"
        )
    if stored == grid:
        return patches
    return resize_position_embeddings(patches, (stored, stored), (grid, grid))
