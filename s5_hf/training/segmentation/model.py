"""The model of several tasks that fine-tuning starts from."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoConfig

from ...modeling.configuration_s5 import S5ViTConfig
from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ..joint.model import known_tasks, refuse_other_labels, require_mode
from ..pretraining.starting_model import ready_to_train, starting_model
from ..starting_weights import load_network
from .recipe import SegmentationModelSettings
from .task_data import TaskData


def joint_model(
    settings: SegmentationModelSettings,
    tasks: Sequence[TaskData],
    crop_size: int,
    channels: int,
    model_class: type[S5ForSemanticSegmentation] = S5ForSemanticSegmentation,
    heads: Mapping[str, Mapping[str, Any]] | None = None,
) -> S5ForSemanticSegmentation:
    """The segmenter at step 0, in train mode.

    A dense segmenter gives its encoder to all tasks and its decoder to each; with experts the last rows of every fc2
    go to each of them, so that every task starts with the features of the dense model. Classifiers are new. A
    segmenter that has exactly these tasks already is taken as it is.

    Args:
        settings: of the recipe.
        tasks: the datasets.
        crop_size, channels: of the images.
        model_class: of the network.
        heads: further arguments of its configuration that hold something of each task, by task.

    Raises:
        ValueError: if the crop is not a multiple of the patch size, or the given network has other channels, other
            classes for one of the tasks, or experts already.
    """
    names = {task.name: task.labels for task in tasks}
    ignore_index = {task.name: task.ignore_index for task in tasks}
    expert_channels = settings.expert_channels if settings.mode == "moe" else 0
    known = known_tasks(settings.segmenter, "segmenter", model_class.config_class, "an encoder is given as encoder")
    if known is not None:
        refuse_other_labels(settings.segmenter, known, names)
    if known == {name: list(labels) for name, labels in names.items()}:
        model = load_segmenter(settings, model_class)
        require_mode(model, settings.mode, settings.segmenter)
    else:
        first = tasks[0]
        dense = (
            load_segmenter(settings, model_class)
            if settings.segmenter
            else starting_model(
                settings, first.name, first.labels, crop_size, channels, model_class, **of_task(heads, first.name)
            )
        )
        model = model_class.from_dense(dense, names, expert_channels, ignore_index=ignore_index, **(heads or {}))
    model.config.class_maps = {task.name: dict(task.class_map) for task in tasks if task.class_map}
    return ready_to_train(model, settings, crop_size, channels)


def of_task(heads: Mapping[str, Mapping[str, Any]] | None, name: str) -> dict[str, dict[str, Any]]:
    """The part of `heads` that belongs to one task."""
    return {key: {name: values[name]} for key, values in (heads or {}).items() if name in values}


def load_segmenter(
    settings: SegmentationModelSettings, model_class: type[S5ForSemanticSegmentation]
) -> S5ForSemanticSegmentation:
    """The given segmenter, with the recipe's dropout and drop path."""
    config = copy.deepcopy(AutoConfig.from_pretrained(settings.segmenter))
    config.classifier_dropout = settings.classifier_dropout
    if isinstance(config.backbone_config, S5ViTConfig):
        config.backbone_config.drop_path_rate = settings.drop_path_rate
    return load_network(model_class, settings.segmenter, config=config)
