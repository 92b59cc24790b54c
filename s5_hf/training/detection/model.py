"""The detector of several tasks that fine-tuning starts from."""

from collections.abc import Sequence

from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ...hub.model_folder import require_model_folder
from ...modeling.configuration_s5 import S5DetectionConfig, S5ViTConfig
from ...modeling.modeling_s5_detection import S5ForOrientedObjectDetection
from ...modeling.modeling_s5_vit import S5ViTBackbone
from ..joint.model import refuse_other_labels, require_mode
from ..pretraining.starting_model import check_fit, new_backbone_config
from ..starting_weights import load_dense_network, load_network
from .data import DetectionTaskData
from .recipe import DetectionModelSettings


def joint_detector(
    settings: DetectionModelSettings, tasks: Sequence[DetectionTaskData], image_size: int, channels: int
) -> S5ForOrientedObjectDetection:
    """The detector at step 0, in train mode.

    An encoder or a segmenter gives its backbone, a dense detector its neck and heads too; with experts the last rows
    of every fc2 go to each of them. A detector that has exactly these tasks already is taken as it is. Position
    embeddings are stored for images of `image_size`.

    Raises:
        ValueError: if the given network has other channels, other classes for one of the tasks, or experts already.
    """
    names = {task.name: list(task.labels) for task in tasks}
    known = known_detector_tasks(settings.detector)
    if known is not None:
        refuse_other_labels(settings.detector, known, names)
    if known == names:
        config = with_drop_path(AutoConfig.from_pretrained(settings.detector), settings.drop_path_rate)
        model = load_network(S5ForOrientedObjectDetection, settings.detector, config=config)
        require_mode(model, settings.mode, settings.detector)
    else:
        dense = dense_start(settings, image_size, channels)
        with_drop_path(dense.config, settings.drop_path_rate)
        model = S5ForOrientedObjectDetection.from_dense(
            dense,
            names,
            expert_channels=settings.expert_channels if settings.mode == "moe" else 0,
            image_size=image_size if has_s5_backbone(dense) else None,
            **({} if known else settings.head_settings()),
        )
    check_fit(model, image_size, channels)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model.train()


def dense_start(settings: DetectionModelSettings, image_size: int, channels: int) -> PreTrainedModel:
    """The dense network that a detector starts from."""
    name = settings.detector or settings.segmenter or settings.encoder
    return load_dense_network(name) if name else S5ViTBackbone(new_backbone_config(settings, image_size, channels))


def with_drop_path(config: PretrainedConfig, rate: float) -> PretrainedConfig:
    """A configuration whose backbone has this drop path, where it has one at all; changed in place."""
    backbone_config = getattr(config, "backbone_config", config)
    if hasattr(backbone_config, "drop_path_rate"):
        backbone_config.drop_path_rate = rate
    return config


def has_s5_backbone(model: PreTrainedModel) -> bool:
    """Whether a model is an S5 ViT or has one as its backbone."""
    return isinstance(getattr(model.config, "backbone_config", model.config), S5ViTConfig)


def known_detector_tasks(detector: str | None) -> dict[str, list[str]] | None:
    """The tasks of a detector, `None` where there is none."""
    if detector is None:
        return None
    require_model_folder(detector)
    config = AutoConfig.from_pretrained(detector)
    if not isinstance(config, S5DetectionConfig):
        raise ValueError(
            f"detector {detector} is a {config.model_type!r}; backbones are given as encoder or segmenter"
        )
    return config.tasks
