"""The network that a recipe starts from: new, from an encoder, or from a whole segmenter."""

from collections.abc import Sequence

from torch import nn
from transformers import AutoBackbone, AutoConfig, PreTrainedModel

from ...hub.model_folder import require_model_folder
from ...modeling.configuration_s5 import S5SegmentationConfig, S5ViTConfig
from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ..recipe_sections import EncoderSettings, ModelSettings
from ..starting_weights import load_network


def starting_model(
    settings: ModelSettings, task: str, labels: Sequence[str], crop_size: int, channels: int = 3
) -> S5ForSemanticSegmentation:
    """The segmenter at step 0, in train mode.

    Args:
        settings: of the recipe.
        task: name of the task.
        labels: class names.
        crop_size: side of the crops; position embeddings of a new network have its grid.
        channels: of the images.

    Raises:
        ValueError: if the crop is not a multiple of the patch size, or a given network has another number of
            classes or channels.
    """
    if settings.segmenter:
        require_model_folder(settings.segmenter)
        model = load_network(S5ForSemanticSegmentation, settings.segmenter)
        found = sum(len(known) for known in model.config.tasks.values())
        if len(model.config.tasks) != 1 or found != len(labels):
            raise ValueError(
                f"{settings.segmenter} has {found} classes in {len(model.config.tasks)} task(s), "
                f"the data has {len(labels)} classes in one"
            )
    elif settings.encoder:
        require_model_folder(settings.encoder)
        rates = {"drop_path_rate": settings.drop_path_rate}
        has_drop_path = hasattr(AutoConfig.from_pretrained(settings.encoder), "drop_path_rate")
        model = S5ForSemanticSegmentation.from_backbone(
            load_network(AutoBackbone, settings.encoder, **(rates if has_drop_path else {})),
            tasks={task: labels},
            decoder_channels=settings.decoder_channels,
            classifier_dropout=settings.classifier_dropout,
        )
    else:
        model = S5ForSemanticSegmentation(new_config(settings, task, labels, crop_size, channels))
    check_fit(model, crop_size, channels)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    if settings.freeze_batch_norm:
        freeze_batch_norm(model)
    return model


def new_config(
    settings: ModelSettings, task: str, labels: Sequence[str], crop_size: int, channels: int
) -> S5SegmentationConfig:
    """The configuration of a network with new weights."""
    return S5SegmentationConfig(
        backbone_config=new_backbone_config(settings, crop_size, channels),
        tasks={task: list(labels)},
        decoder_channels=settings.decoder_channels,
        classifier_dropout=settings.classifier_dropout,
    )


def new_backbone_config(settings: EncoderSettings, crop_size: int, channels: int) -> S5ViTConfig:
    """The configuration of a new S5 ViT, with position embeddings for the grid of a crop.

    Raises:
        ValueError: if its size is given in part only, or the crop is not a multiple of the patch size.
    """
    sizes = {
        "hidden_size": settings.hidden_size,
        "num_hidden_layers": settings.num_hidden_layers,
        "num_attention_heads": settings.num_attention_heads,
    }
    given = {name: value for name, value in sizes.items() if value is not None}
    if 0 < len(given) < len(sizes):
        raise ValueError(f"a ViT of its own size needs {', '.join(sizes)}; got only {', '.join(given)}")
    shared = {"image_size": crop_size, "num_channels": channels, "drop_path_rate": settings.drop_path_rate}
    if crop_size % S5ViTConfig().patch_size:
        raise ValueError(f"crop_size {crop_size} is not a multiple of the patch size {S5ViTConfig().patch_size}")
    return S5ViTConfig(**given, **shared) if given else S5ViTConfig.from_size(settings.model_size, **shared)


def check_fit(model: PreTrainedModel, crop_size: int, channels: int) -> None:
    """Raise a ValueError unless the network takes such crops."""
    patch_size = getattr(model.backbone.config, "patch_size", 1)
    if isinstance(patch_size, int) and crop_size % patch_size:
        raise ValueError(f"crop_size {crop_size} is not a multiple of the patch size {patch_size}")
    expected = getattr(model.backbone.config, "num_channels", channels)
    if expected != channels:
        raise ValueError(f"the network takes {expected} channels, image_mean has {channels}")


def freeze_batch_norm(model: nn.Module) -> None:
    """Keep the statistics, weights and biases of batch norm as they are."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.requires_grad_(False)
