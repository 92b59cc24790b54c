"""The configuration of a backbone with new weights: an S5 ViT, or any backbone that transformers knows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING_NAMES

from ...hub.model_folder import require_model_folder
from ...modeling.configuration_s5 import make_backbone_config
from ...modeling.configuration_s5_vit import S5ViTConfig, default_dpt_taps, default_taps
from ...modeling.task_model import OWN_BACKBONES
from ..recipe_sections import EncoderSettings
from ..starting_weights import read_config

EXPLICIT_TAPS = frozenset({"out_features", "out_indices"})


def new_backbone_config(settings: EncoderSettings, crop_size: int, channels: int) -> PretrainedConfig:
    """The configuration of the new backbone that a recipe describes; position embeddings have the grid of a crop.

    Raises:
        ValueError: if its size is given in part only or in two ways, the crop is not a multiple of the patch size, or
            a setting or the model type is not known.
    """
    if settings.backbone:
        return any_backbone_config(settings, crop_size, channels)
    given = own_size(settings)
    shared = {"image_size": crop_size, "num_channels": channels, "drop_path_rate": settings.drop_path_rate}
    if getattr(settings, "decoder", "upernet") == "dpt":
        shared["use_feature_pyramid"] = False
    if crop_size % S5ViTConfig().patch_size:
        raise ValueError(f"crop_size {crop_size} is not a multiple of the patch size {S5ViTConfig().patch_size}")
    return S5ViTConfig(**given, **shared) if given else S5ViTConfig.from_size(settings.model_size, **shared)


def own_size(settings: EncoderSettings) -> dict[str, int]:
    """Width, depth and heads of an S5 ViT of its own size; empty for a named one.

    Raises:
        ValueError: if they are given in part only.
    """
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    given = {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}
    if 0 < len(given) < len(names):
        raise ValueError(f"a ViT of its own size needs {', '.join(names)}; got only {', '.join(given)}")
    return given


def any_backbone_config(settings: EncoderSettings, crop_size: int, channels: int) -> PretrainedConfig:
    """The configuration that `backbone` describes, with the images and the drop path of the recipe where it has such.

    Raises:
        ValueError: if a size of the S5 ViT is given too, or a setting or the model type is not known.
    """
    if own_size(settings):
        raise ValueError(
            f"{', '.join(own_size(settings))} is for the S5 ViT; a backbone has its sizes in its own settings"
        )
    start, changes = read_backbone(settings.backbone)
    config = read_config(start) if start else make_backbone_config({"model_type": changes.pop("model_type", None)})
    refuse_no_backbone(config)
    taps = default_dpt_taps if getattr(settings, "decoder", "upernet") == "dpt" else default_taps
    of_recipe = {"image_size": crop_size, "num_channels": channels, "drop_path_rate": settings.drop_path_rate}
    known = config.to_dict()
    unknown = sorted(set(changes) - set(known) - EXPLICIT_TAPS)
    if unknown:
        raise ValueError(
            f"a {config.model_type} has no setting {', '.join(unknown)}; its settings: {', '.join(sorted(known))}"
        )
    values = {**known, **{name: value for name, value in of_recipe.items() if name in known}, **changes}
    for derived in derived_settings(config, changes) - set(changes):
        values.pop(derived, None)
    try:
        config = type(config).from_dict(values)
    except (StrictDataclassError, TypeError) as error:
        raise ValueError(f"backbone: a {config.model_type} cannot have these settings: {error}") from error
    return config if EXPLICIT_TAPS & set(changes) else with_four_taps(config, taps)


def derived_settings(config: PretrainedConfig, changes: Mapping[str, Any]) -> frozenset[str]:
    """What follows from the depth, and what follows from the width of an S5 ViT where that is another."""
    follows = {"stage_names"} | EXPLICIT_TAPS
    if isinstance(config, S5ViTConfig) and "hidden_size" in changes:
        follows |= {"intermediate_size"}
    return frozenset(follows)


def read_backbone(words: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """The folder or name that a backbone's configuration comes from, if any, and its settings.

    Args:
        words: `setting:value` each, with the value as in YAML; the first may be a folder, a name or a model type.

    Raises:
        ValueError: if a word is neither.
    """
    first, *others = words
    start = None
    if ":" not in first:
        if first in CONFIG_MAPPING or first == S5ViTConfig.model_type:
            others = [f"model_type:{first}", *others]
        else:
            require_model_folder(first)
            start = first
    else:
        others = list(words)
    settings: dict[str, Any] = {}
    for word in others:
        name, colon, value = word.partition(":")
        if not colon:
            raise ValueError(f"backbone: {word!r} is no setting; expected setting:value, such as depths:[2,2,2,2]")
        settings[name] = yaml.safe_load(value)
    return start, settings


def refuse_no_backbone(config: PretrainedConfig) -> None:
    """Raise a ValueError for a network that gives no feature maps."""
    known = sorted([*MODEL_FOR_BACKBONE_MAPPING_NAMES, *OWN_BACKBONES])
    if config.model_type not in known:
        raise ValueError(f"a {config.model_type} is no backbone of transformers; backbones: {', '.join(known)}")


def with_four_taps(config: PretrainedConfig, taps: Callable[[int], list[int]] = default_taps) -> PretrainedConfig:
    """A configuration whose feature maps are those of four stages, evenly spaced, where it names its last stage only.

    The last stage is what transformers takes by default; a decoder needs the finer ones too. Changed in place.
    `taps` gives the numbers of four stages from their count.
    """
    stages = [name for name in getattr(config, "stage_names", None) or [] if name != "stem"]
    if len(stages) > 1 and list(config.out_features) == stages[-1:]:
        config.out_features = [stages[tap - 1] for tap in taps(len(stages))]
    return config
