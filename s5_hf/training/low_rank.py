"""Low-rank adapters (LoRA, arXiv 2106.09685) in the encoder's shared layers, with the library peft.

The adapters are trained in place of the layers they belong to. What belongs to a task (experts, decoders, classifiers,
necks, heads) and the feature pyramid are trained whole. Saved models have the adapters merged into the weights, so
they load without peft; the adapters by themselves are in a checkpoint's `state/`.
"""

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from .recipe_sections import AdapterSettings

ADAPTED = ("qkv", "projection", "fc1", "fc2")
LANGUAGE_LAYERS = (
    *("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "dense", "out_proj"),
    *("fc1", "fc2", "gate_proj", "up_proj", "gate_up_proj", "down_proj"),
)
"""Linear layers of language models, by the names that transformers gives them."""
BASE = ".base_layer."


def add_adapters(model: PreTrainedModel, settings: AdapterSettings) -> None:
    """Put adapters into the encoder's blocks and freeze what they adapt; with a rank of 0, leave the model alone.

    Args:
        model: with an S5 ViT as its `backbone`.
        settings: rank, scale and dropout.

    Raises:
        ImportError: if peft is not installed.
        ValueError: if the backbone is not an S5 ViT.
    """
    if not settings.lora_rank:
        return
    if not hasattr(model.backbone, "encoder") or not hasattr(model.backbone, "feature_pyramid"):
        raise ValueError(f"lora_rank is for the S5 ViT, the backbone is a {model.config.backbone_config.model_type!r}")
    adapt_layers(model.backbone, settings, ADAPTED)
    for name, parameter in model.backbone.named_parameters():
        if ".experts." in name or name.startswith("feature_pyramid."):
            parameter.requires_grad_(True)


def adapt_layers(part: torch.nn.Module, settings: AdapterSettings, names: Sequence[str]) -> None:
    """Put adapters into the linear layers of these names in the numbered layers of a network; freeze all else of it.

    Args:
        part: with blocks in `layers`.
        settings: rank, scale and dropout.
        names: of the linear layers; those that there are not are left out.

    Raises:
        ImportError: if peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError("lora_rank needs the library peft: pip install 's5_hf[lora]'") from error
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=rf"(?:.*\.)?layers\.\d+\..*({'|'.join(names)})",
    )
    inject_adapter_in_model(config, part)


@torch.no_grad()
def merged_adapters(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dictionary with the adapters merged, under the names of a model without them.

    Args:
        model: with adapters or without.
        state: its state dictionary.
    """
    adapted = {name: module for name, module in model.named_modules() if hasattr(module, "get_delta_weight")}
    merged = {}
    for key, tensor in state.items():
        if ".lora_" in key:
            continue
        name = key.partition(BASE)[0]
        if name in adapted and key == f"{name}{BASE}weight":
            delta = sum(adapted[name].get_delta_weight(adapter) for adapter in adapted[name].active_adapters)
            tensor = tensor + delta.to(tensor)
        merged[key.replace(BASE, ".")] = tensor
    return merged
