"""AdamW with the parameter groups of S5: what is not decayed, and a learning rate that falls with depth."""

import re
from collections.abc import Iterator

import torch
from torch import nn

POSITION_NAMES = ("position_embed", "pos_embed", "relative_position", "rel_pos")
# The deepest numbered layer of a name: `encoder.layers.3` of an S5 ViT, `encoder.layers.0.blocks.1` of a Swin.
BLOCK = re.compile(r"^(?:.*\.)?(?:layers?|blocks?|stages)\.\d+(?=\.)")
# What stands before them: the embeddings of a ViT, the stem of an EfficientNet-Lite with its norm.
STEM = re.compile(r"^backbone\.(?:.*embeddings|stem)")
FUSED_DEVICES = ("cuda", "cpu", "xpu", "mps")


def make_optimizer(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    layer_decay: float = 1.0,
    encoder_rate: float = 1.0,
    decay_everything: bool = False,
) -> torch.optim.AdamW:
    """AdamW, fused where the device has it.

    Args:
        model: a segmenter with a `backbone`, not yet wrapped.
        learning_rate: the highest of the backbone; each group holds its own as `initial_lr`.
        weight_decay: of all parameters but norms, position embeddings and relative positions.
        betas: of AdamW.
        layer_decay: the learning rate of a backbone block is this to the power of its distance from the decoder.
        encoder_rate: the learning rate of the whole backbone is times this.
        decay_everything: whether norms and positions are decayed too.

    Raises:
        ValueError: for numbers out of range.
    """
    if learning_rate < 0 or weight_decay < 0:
        raise ValueError(
            f"learning_rate and weight_decay must not be negative, got {learning_rate} and {weight_decay}"
        )
    groups = parameter_groups(model, learning_rate, weight_decay, layer_decay, encoder_rate, decay_everything)
    device = next(model.parameters()).device.type
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=device in FUSED_DEVICES)


def parameter_groups(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    encoder_rate: float = 1.0,
    decay_everything: bool = False,
) -> list[dict[str, object]]:
    """Groups of parameters with one weight decay and one learning rate each.

    A group has `params`, `names`, `lr`, `initial_lr` and `weight_decay`. Parameters that need no gradient are left
    out. The groups' order follows the model.

    Raises:
        ValueError: if `layer_decay` is not in (0, 1].
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay must be above 0 and at most 1, got {layer_decay}")
    distances = decoder_distances(model)
    groups: dict[tuple[int, float, bool], dict[str, object]] = {}
    for name, parameter, is_decayed in named_parameters_with_decay(model):
        decays = is_decayed or decay_everything
        factor = encoder_rate if name.startswith("backbone.") else 1.0
        rate = learning_rate * layer_decay ** distances[name] * factor
        group = groups.setdefault(
            (distances[name], factor, decays),
            {
                "params": [],
                "names": [],
                "lr": rate,
                "initial_lr": rate,
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def named_parameters_with_decay(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, bool]]:
    """Name, parameter and whether it is decayed, for every trained parameter.

    Not decayed: norm layers of any kind, position embeddings and relative positions (the official rule looks for
    names that its model does not have, so there everything is decayed).
    """
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        is_norm = "norm" in type(module).__name__.lower()
        for short_name, parameter in module.named_parameters(recurse=False):
            if parameter in seen or not parameter.requires_grad:
                continue
            seen.add(parameter)
            name = f"{module_name}.{short_name}" if module_name else short_name
            is_position = any(part in name for part in POSITION_NAMES)
            yield name, parameter, not (is_norm or is_position)


def decoder_distances(model: nn.Module) -> dict[str, int]:
    """How many steps each parameter lies before the decoder: 0 for everything after the last backbone block.

    The last block is 1 step away, the first one as many steps as there are blocks, and the embeddings one more. Works
    for every backbone that keeps its blocks in numbered lists called layer(s), block(s) or stages.
    """
    names = [name for name, _ in model.named_parameters()]
    blocks: dict[str, int] = {}
    for name in names:
        match = BLOCK.match(name) if name.startswith("backbone.") else None
        if match:
            blocks.setdefault(match[0], len(blocks))
    distances = {}
    for name in names:
        match = BLOCK.match(name) if name.startswith("backbone.") else None
        if match:
            distances[name] = len(blocks) - blocks[match[0]]
        elif STEM.match(name):
            distances[name] = len(blocks) + 1
        else:
            distances[name] = 0
    return distances
