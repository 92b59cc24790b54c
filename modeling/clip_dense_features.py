"""Features of CLIP per patch, by attention variants that keep a patch's own content.

Source: SegEarth-OV (arXiv 2410.01768) and its official code, which collects MaskCLIP (2112.01071), SCLIP (2312.01597),
ClearCLIP (2407.12442) and NACLIP (2404.08181).
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPModel

# transformers' own interpolation of positions takes the sizes alone, and gives other numbers.
GRID_OFFSET = 0.1


def dense_features(
    clip: CLIPModel, pixel_values: torch.Tensor, variant: str, last_n_layers: int = 1, keep_residual: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and patch features in the common space of images and text.

    Args:
        clip: the network.
        pixel_values: `(batch, 3, height, width)`, sides in whole patches.
        variant: the attention of the last blocks, one of `ATTENTIONS` (configuration_segearth_ov.py).
        last_n_layers: of how many of the last blocks the outputs are added.
        keep_residual: whether these outputs have the residual connection and the MLP.

    Returns:
        The class token `(batch, embedding)` and the patches `(batch, embedding, rows, columns)`, not normalised.
    """
    layers, grid = clip.vision_model.encoder.layers, patch_grid(clip, pixel_values)
    states = early_states(clip, pixel_values, len(layers) - last_n_layers)
    outputs = torch.zeros_like(states)
    for layer in layers[len(layers) - last_n_layers :]:
        attended = variant_attention(layer.self_attn, layer.layer_norm1(states), variant, grid)
        if keep_residual:
            attended = states + attended
            attended = attended + layer.mlp(layer.layer_norm2(attended))
        outputs = outputs + attended
        states = layer(states, None)
    return in_common_space(clip, outputs, grid)


def last_block_input(clip: CLIPModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """What goes into the last block of the vision tower, patch by patch, in the common space of images and text.

    These are the features that SimFeatUp learns to up-sample.

    Args:
        clip: the network.
        pixel_values: `(batch, 3, height, width)`, sides in whole patches.

    Returns:
        `(batch, embedding, rows, columns)`.
    """
    states = early_states(clip, pixel_values, len(clip.vision_model.encoder.layers) - 1)
    return in_common_space(clip, states, patch_grid(clip, pixel_values))[1]


def patch_grid(clip: CLIPModel, pixel_values: torch.Tensor) -> tuple[int, int]:
    """Rows and columns of patches of images."""
    patch_size = clip.vision_model.config.patch_size
    return pixel_values.shape[2] // patch_size, pixel_values.shape[3] // patch_size


def early_states(clip: CLIPModel, pixel_values: torch.Tensor, blocks: int) -> torch.Tensor:
    """The tokens after the first blocks, `(batch, 1 + patches, width)`."""
    vision = clip.vision_model
    states = vision.pre_layrnorm(embed_patches(clip, pixel_values, patch_grid(clip, pixel_values)))
    for layer in vision.encoder.layers[:blocks]:
        states = layer(states, None)
    return states


def in_common_space(clip: CLIPModel, states: torch.Tensor, grid: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The class token `(batch, embedding)` and the patches `(batch, embedding, rows, columns)` of tokens."""
    tokens = clip.visual_projection(clip.vision_model.post_layernorm(states))
    return tokens[:, 0], tokens[:, 1:].transpose(1, 2).unflatten(2, tuple(grid))


def embed_patches(clip: CLIPModel, pixel_values: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    """Class token and patches with their positions, `(batch, 1 + patches, width)`."""
    embeddings = clip.vision_model.embeddings
    patches = embeddings.patch_embedding(pixel_values.to(embeddings.patch_embedding.weight.dtype))
    tokens = patches.flatten(2).transpose(1, 2)
    first = embeddings.class_embedding.expand(tokens.shape[0], 1, -1)
    return torch.cat([first, tokens], dim=1) + position_embeddings(embeddings.position_embedding.weight, grid)


def position_embeddings(positions: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    """The learnt positions `(1 + side ** 2, width)` for another grid, as in the official code.

    They are left alone where the number of patches is the learnt one, even on a grid that is not square.
    """
    if grid[0] * grid[1] == len(positions) - 1:
        return positions
    side = round((len(positions) - 1) ** 0.5)
    square = positions[1:].T.unflatten(1, (side, side))[None]
    factors = ((grid[0] + GRID_OFFSET) / side, (grid[1] + GRID_OFFSET) / side)
    resized = functional.interpolate(square, scale_factor=factors, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1], resized[0].flatten(1).T])


def variant_attention(attention: nn.Module, states: torch.Tensor, variant: str, grid: Sequence[int]) -> torch.Tensor:
    """The output of an attention layer `(batch, tokens, width)` with the weights of a variant.

    The sums of several softmaxes are not averaged.
    """
    query, key, value = (
        projection(states).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if variant != "maskclip":  # there every token attends to itself alone
        value = attention_weights(query, key, value, variant, grid) @ value
    return attention.out_proj(value.transpose(1, 2).flatten(2))


def attention_weights(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, variant: str, grid: Sequence[int]
) -> torch.Tensor:
    """Weights `(batch, heads, tokens, tokens)` from projections `(batch, heads, tokens, channels)`."""
    if variant == "naclip":
        return (similarity(key, key) + neighbourhood(grid, key)).softmax(dim=-1)
    pairs = {
        "vanilla": [(query, key)],
        "clearclip": [(query, query)],
        "sclip": [(query, query), (key, key)],
        "segearth": [(query, query), (key, key), (value, value)],
    }[variant]
    return sum(similarity(*pair).softmax(dim=-1) for pair in pairs)


def similarity(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Scaled products of all pairs of tokens."""
    return (left * left.shape[-1] ** -0.5) @ right.transpose(-1, -2)


def neighbourhood(grid: Sequence[int], like: torch.Tensor) -> torch.Tensor:
    """What NACLIP adds for patches that lie close, `(tokens, tokens)`; 0 for the class token.

    The official code knows square grids only; the rule itself is about distances.
    """
    rows, columns = (torch.arange(size, device=like.device, dtype=torch.float32) for size in grid)
    places = torch.cartesian_prod(rows, columns).view(-1, 2)
    squares = (places[:, None] - places[None]).square().sum(dim=2)
    return functional.pad(torch.exp(-squares / 2), (1, 0, 1, 0)).to(like.dtype)
