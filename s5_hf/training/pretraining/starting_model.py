"""The network that a recipe starts from: new, from an encoder, or from a whole segmenter."""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import AutoBackbone, PretrainedConfig, PreTrainedModel

from ...hub.model_folder import require_model_folder
from ...modeling.configuration_s5_dinov2 import S5Dinov2Config
from ...modeling.configuration_s5_segformer import S5SegformerConfig
from ...modeling.configuration_s5_vit import default_dpt_taps, default_taps
from ...modeling.input_channels import adapt_input_channels
from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ...modeling.task_model import MODEL_CLASSES
from ..recipe_sections import EncoderSettings
from ..selective_checkpointing import checkpointing_arguments
from ..starting_weights import load_network, read_config
from .backbone_config import new_backbone_config, with_four_taps
from .recipe import PretrainingModelSettings

AnyModel = TypeVar("AnyModel", bound=PreTrainedModel)
AnySegmenter = TypeVar("AnySegmenter", bound=S5ForSemanticSegmentation)


def starting_model(
    settings: PretrainingModelSettings,
    task: str,
    labels: Sequence[str],
    crop_size: int,
    channels: int = 3,
    model_class: type[AnySegmenter] = S5ForSemanticSegmentation,
    **heads: Any,
) -> AnySegmenter:
    """The segmenter at step 0, in train mode.

    Args:
        settings: of the recipe.
        task: name of the task.
        labels: class names.
        crop_size: side of the crops; position embeddings of a new network have its grid.
        channels: of the images.
        model_class: of the network.
        **heads: further arguments of its configuration.

    Raises:
        ValueError: if the crop is not a multiple of the patch size, or a given network has another number of
            classes or channels.
    """
    if settings.segmenter:
        require_model_folder(settings.segmenter)
        require_kind(settings.segmenter, model_class)
        model = load_network(model_class, settings.segmenter)
        found = sum(len(known) for known in model.config.tasks.values())
        if len(model.config.tasks) != 1 or found != len(labels):
            raise ValueError(
                f"{settings.segmenter} has {found} classes in {len(model.config.tasks)} task(s), "
                f"the data has {len(labels)} classes in one"
            )
    elif settings.encoder:
        require_model_folder(settings.encoder)
        model = model_class.from_backbone(
            load_network(AutoBackbone, settings.encoder, config=encoder_config(settings)),
            tasks={task: labels},
            **decoder_settings(settings),
            **heads,
        )
    else:
        model = model_class(
            model_class.config_class(
                backbone_config=new_backbone_config(settings, crop_size, channels),
                tasks={task: list(labels)},
                **decoder_settings(settings),
                **heads,
            )
        )
        require_feature_maps(model, crop_size, channels)
    return ready_to_train(model, settings, crop_size, channels)


def require_kind(folder: str, model_class: type[S5ForSemanticSegmentation]) -> None:
    """Raise a ValueError if a folder holds another kind of model; what is no model of this package may be tried."""
    found, expected = read_config(folder).model_type, model_class.config_class.model_type
    if found in MODEL_CLASSES and found != expected:
        raise ValueError(f"{folder} holds a {found!r} model, expected one of the type {expected!r}")


def decoder_settings(settings: PretrainingModelSettings) -> dict[str, Any]:
    """What a recipe says of everything behind the backbone; fine-tuning recipes have fewer of these keys."""
    names = ("decoder", "decoder_channels", "classifier_dropout", "image_fit")
    return {name: getattr(settings, name) for name in names if hasattr(settings, name)}


def encoder_config(settings: PretrainingModelSettings) -> PretrainedConfig:
    """The configuration of a pre-trained encoder, with feature maps of four stages and the recipe's drop path."""
    config = read_config(settings.encoder)
    if config.model_type == "dinov2" and getattr(settings, "dinov2_positions", "release") == "release":
        config = S5Dinov2Config.from_dict({**config.to_dict(), "model_type": S5Dinov2Config.model_type})
    if config.model_type == "segformer":  # which transformers knows as a whole network only
        config = S5SegformerConfig.from_dict({**config.to_dict(), "model_type": S5SegformerConfig.model_type})
    has_dpt = getattr(settings, "decoder", None) == "dpt"
    config = with_four_taps(config, default_dpt_taps if has_dpt else default_taps)
    if has_dpt and hasattr(config, "use_feature_pyramid"):
        config.use_feature_pyramid = False  # its weights, if there are any, stay behind
    if hasattr(config, "drop_path_rate"):
        config.drop_path_rate = settings.drop_path_rate
    return config


def ready_to_train(model: AnyModel, settings: EncoderSettings, crop_size: int, channels: int) -> AnyModel:
    """The network in train mode, with what the settings freeze or recompute.

    Raises:
        ValueError: unless it takes crops of this size and number of channels.
    """
    adapt_channels(model, settings, channels)
    check_fit(model, crop_size, channels)
    checkpointing = checkpointing_arguments(settings.gradient_checkpointing)
    if checkpointing is not None:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpointing)
    freeze_mask_tokens(model)
    model.train()
    if settings.freeze_batch_norm:
        freeze_batch_norm(model)
    return model


def adapt_channels(model: PreTrainedModel, settings: EncoderSettings, channels: int) -> None:
    """Let the network take the channels of the images, where the recipe says how and it takes others."""
    expected = getattr(model.backbone.config, "num_channels", channels)
    if settings.channel_weights and expected != channels:
        adapt_input_channels(model, channels, settings.channel_weights)


def check_fit(model: PreTrainedModel, crop_size: int, channels: int) -> None:
    """Raise a ValueError unless the network takes such crops."""
    patch_size = getattr(model.backbone.config, "patch_size", 1)
    if isinstance(patch_size, int) and crop_size % patch_size:
        raise ValueError(f"crop_size {crop_size} is not a multiple of the patch size {patch_size}")
    expected = getattr(model.backbone.config, "num_channels", channels)
    if expected != channels:
        raise ValueError(
            f"the network takes {expected} channels, the images have {channels}: choose as many with bands, or let "
            "channel_weights say how its first layer is adapted"
        )


def freeze_mask_tokens(model: nn.Module) -> None:
    """Let no process wait for the gradient of a mask token, which only masked pre-training of DINO uses."""
    for name, parameter in model.named_parameters():
        if name.endswith("mask_token"):
            parameter.requires_grad_(False)


@torch.no_grad()
def require_feature_maps(model: PreTrainedModel, crop_size: int, channels: int) -> None:
    """Raise a ValueError unless the backbone's maps have the numbers of channels that its configuration promises.

    Some backbones of transformers take their widths from two settings that need not agree.
    """
    model.backbone.eval()
    maps = model.backbone(torch.zeros(1, channels, crop_size, crop_size)).feature_maps
    found = [feature_map.shape[1] for feature_map in maps]
    if found != list(model.backbone.channels):
        raise ValueError(
            f"the feature maps of the {model.backbone.config.model_type} have {found} channels, its configuration "
            f"says {list(model.backbone.channels)}: its sizes contradict one another"
        )


def freeze_batch_norm(model: nn.Module) -> None:
    """Keep the statistics, weights and biases of batch norm as they are."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.requires_grad_(False)
