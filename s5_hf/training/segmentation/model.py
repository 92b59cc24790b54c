"""The model of several tasks that fine-tuning starts from."""

import copy
from collections.abc import Sequence

from transformers import AutoConfig

from ...hub.model_folder import require_model_folder
from ...modeling.configuration_s5 import S5SegmentationConfig, S5ViTConfig
from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ..joint.model import refuse_other_labels, require_mode
from ..pretraining.starting_model import check_fit, freeze_batch_norm, starting_model
from ..starting_weights import load_network
from .recipe import SegmentationModelSettings
from .task_data import TaskData


def joint_model(
    settings: SegmentationModelSettings, tasks: Sequence[TaskData], crop_size: int, channels: int
) -> S5ForSemanticSegmentation:
    """The segmenter at step 0, in train mode.

    A dense segmenter gives its encoder to all tasks and its decoder to each; with experts the last rows of every fc2
    go to each of them, so that every task starts with the features of the dense model. Classifiers are new. A
    segmenter that has exactly these tasks already is taken as it is.

    Raises:
        ValueError: if the crop is not a multiple of the patch size, or the given network has other channels, other
            classes for one of the tasks, or experts already.
    """
    names = {task.name: task.labels for task in tasks}
    ignore_index = {task.name: task.ignore_index for task in tasks}
    expert_channels = settings.expert_channels if settings.mode == "moe" else 0
    known = known_tasks(settings.segmenter)
    if known is not None:
        refuse_other_labels(settings.segmenter, known, names)
    if known == {name: list(labels) for name, labels in names.items()}:
        model = load_segmenter(settings)
        require_mode(model, settings.mode, settings.segmenter)
    else:
        first = tasks[0]
        dense = (
            load_segmenter(settings)
            if settings.segmenter
            else starting_model(settings, first.name, first.labels, crop_size, channels)
        )
        model = S5ForSemanticSegmentation.from_dense(dense, names, expert_channels, ignore_index=ignore_index)
    model.config.class_maps = {task.name: dict(task.class_map) for task in tasks if task.class_map}
    check_fit(model, crop_size, channels)
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    if settings.freeze_batch_norm:
        freeze_batch_norm(model)
    return model


def known_tasks(segmenter: str | None) -> dict[str, list[str]] | None:
    """The tasks of a segmenter, `None` where there is none."""
    if segmenter is None:
        return None
    require_model_folder(segmenter)
    config = AutoConfig.from_pretrained(segmenter)
    if not isinstance(config, S5SegmentationConfig):
        raise ValueError(f"segmenter {segmenter} is a {config.model_type!r}; an encoder is given as encoder")
    return config.tasks


def load_segmenter(settings: SegmentationModelSettings) -> S5ForSemanticSegmentation:
    """The given segmenter, with the recipe's dropout and drop path."""
    config = copy.deepcopy(AutoConfig.from_pretrained(settings.segmenter))
    config.classifier_dropout = settings.classifier_dropout
    if isinstance(config.backbone_config, S5ViTConfig):
        config.backbone_config.drop_path_rate = settings.drop_path_rate
    return load_network(S5ForSemanticSegmentation, settings.segmenter, config=config)
