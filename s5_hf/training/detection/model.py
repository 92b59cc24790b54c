"""The detector of several tasks that fine-tuning starts from."""

from collections.abc import Sequence

from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from ...modeling.configuration_s5 import S5DetectionConfig, S5ViTConfig
from ...modeling.modeling_s5_detection import S5ForOrientedObjectDetection
from ...modeling.task_model import build_backbone
from ..joint.model import known_tasks, refuse_other_labels, require_mode
from ..pretraining.backbone_config import new_backbone_config
from ..pretraining.starting_model import ready_to_train
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
    known = known_tasks(
        settings.detector, "detector", S5DetectionConfig, "backbones are given as encoder or segmenter"
    )
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
    return ready_to_train(model, settings, image_size, channels)


def dense_start(settings: DetectionModelSettings, image_size: int, channels: int) -> PreTrainedModel:
    """The dense network that a detector starts from."""
    name = settings.detector or settings.segmenter or settings.encoder
    if name:
        return load_dense_network(name)
    return build_backbone(new_backbone_config(settings, image_size, channels))


def with_drop_path(config: PretrainedConfig, rate: float) -> PretrainedConfig:
    """A configuration whose backbone has this drop path, where it has one at all; changed in place."""
    backbone_config = getattr(config, "backbone_config", config)
    if hasattr(backbone_config, "drop_path_rate"):
        backbone_config.drop_path_rate = rate
    return config


def has_s5_backbone(model: PreTrainedModel) -> bool:
    """Whether a model is an S5 ViT or has one as its backbone."""
    return isinstance(getattr(model.config, "backbone_config", model.config), S5ViTConfig)
