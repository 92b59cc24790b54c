"""The one base of models with tasks: made from a backbone or a dense model, given tasks, taken apart by task."""

import copy
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn
from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel

from .configuration_s5_dinov2 import S5Dinov2Config
from .configuration_s5_efficientnet_lite import S5EfficientNetLiteConfig
from .configuration_s5_segformer import S5SegformerConfig
from .configuration_s5_vit import S5ViTConfig
from .modeling_s5_dinov2 import S5Dinov2Backbone
from .modeling_s5_efficientnet_lite import S5EfficientNetLiteBackbone
from .modeling_s5_segformer import S5SegformerBackbone
from .modeling_s5_vit import S5ViTBackbone
from .pretrained_model import S5PreTrainedModel
from .tasks import TaskGroups, Tasks
from .vit_embeddings import resize_position_embeddings

EXPERT_KEY = re.compile(r"^(backbone\.encoder\.layers\.\d+\.feed_forward)\.experts\.(\d+)\.(weight|bias)$")
TASK_KEY = re.compile(
    r"^(decoders|classifiers|date_decoders|date_classifiers|necks|rpn_heads|roi_heads)\.(\d+)\.(.+)$"
)
NEW_KEY = re.compile(r"^(classifiers|date_classifiers|roi_heads\.\d+\.classifier)\.")

Model = TypeVar("Model", bound="S5TaskPreTrainedModel")

OWN_BACKBONES: dict[str, type[PreTrainedModel]] = {
    S5ViTConfig.model_type: S5ViTBackbone,
    S5Dinov2Config.model_type: S5Dinov2Backbone,
    S5SegformerConfig.model_type: S5SegformerBackbone,
    S5EfficientNetLiteConfig.model_type: S5EfficientNetLiteBackbone,
}
MODEL_CLASSES: dict[str, type[PreTrainedModel]] = dict(OWN_BACKBONES)
"""The class of every model type: backbones, and models on one, which enter themselves."""


class S5TaskPreTrainedModel(S5PreTrainedModel):
    """A model with `config.tasks`, a `backbone`, and one head of every kind per task.

    A subclass sets `config_class` and makes the heads of one more task in `_append_heads`.

    Attributes:
        images_per_row: images that a row of a batch consists of.
    """

    images_per_row: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        MODEL_CLASSES.setdefault(cls.config_class.model_type, cls)

    @classmethod
    def from_backbone(cls: type[Model], backbone: str | PreTrainedModel, tasks: Tasks, **settings: Any) -> Model:
        """A model on a pre-trained backbone (a model, a folder or a name); everything behind it is new.

        Args:
            backbone: what `AutoBackbone.from_pretrained` takes, or the backbone itself (used, not copied).
            tasks: names and labels of the tasks.
            **settings: further arguments of the configuration class, such as `ignore_index` of a segmenter.
        """
        if not isinstance(backbone, PreTrainedModel):
            is_s5 = isinstance(AutoConfig.from_pretrained(backbone), S5ViTConfig)
            backbone = (S5ViTBackbone if is_s5 else AutoBackbone).from_pretrained(backbone)
        attention = attention_of(backbone)
        model = cls(cls.config_class(backbone_config=backbone.config, tasks=tasks, **settings))
        model.backbone = backbone
        set_attention(model, attention)
        return model

    @classmethod
    def from_dense(
        cls: type[Model],
        dense: str | PreTrainedModel,
        tasks: Tasks,
        expert_channels: int = 256,
        *,
        image_size: int | None = None,
        **settings: Any,
    ) -> Model:
        """A mixture-of-experts model started from a dense one: an encoder, or a segmenter or detector of one task.

        The first rows of every fc2 become the shared part, the last `expert_channels` rows are copied into every
        expert (section 4 of the paper's supplement; official code alike). A dense model of this class also gives its
        heads to every task. At step 0 every task has exactly the features of the dense model. The classifiers are new.

        Args:
            dense: the dense model, a folder or a name.
            tasks: names and labels of the tasks; their order is the order of the experts.
            expert_channels: output channels of fc2 that belong to the expert; 0 gives MDF without experts.
            image_size: side in pixels for which the position embeddings are stored from now on (1024 in the official
                detectors); by default as in the dense model.
            **settings: further arguments of the configuration class, in place of those of a dense model of this
                class; `ignore_index` of a segmenter is 255 where it is not given.

        Raises:
            ValueError: if `dense` has experts already or several tasks, or experts or an image size are asked of a
                backbone that is not an S5 ViT.
        """
        if not isinstance(dense, PreTrainedModel):
            dense = load_dense(dense)
        backbone_config = copy.deepcopy(getattr(dense.config, "backbone_config", dense.config))
        if backbone_config.model_type != S5ViTConfig.model_type and (expert_channels or image_size):
            raise ValueError(
                f"experts belong to the S5 ViT, the backbone is a {backbone_config.model_type!r}; give "
                "expert_channels=0 for heads per task on a shared backbone, and no image_size"
            )
        if expert_channels:
            backbone_config.num_experts, backbone_config.expert_channels = len(tasks), expert_channels
        if image_size:
            backbone_config.image_size = image_size
        known = dense.config.to_dict() if dense.config.model_type == cls.config_class.model_type else {}
        known.update(settings, backbone_config=backbone_config.to_dict(), tasks=tasks)
        for derived in ("id2label", "label2id", "architectures"):
            known.pop(derived, None)
        model = cls(cls.config_class.from_dict(known)).to(dense.dtype)
        copy_dense_weights(dense, model)
        set_attention(model, attention_of(dense))
        return model.to(dense.device).train(dense.training)

    def add_task(self, name: str, labels: Sequence[str], like: str | None = None, **settings: Any) -> None:
        """Give a trained model one more task.

        Expert and heads start as copies of those of the task `like` (default: the first), the classifier is new. The
        other tasks keep their outputs.

        Args:
            name: of the new task.
            labels: its labels.
            like: a task of the model.
            **settings: what else the entry of a task in config.json holds: `ignore_index` (255 where it is not given)
                and `class_map` of a segmenter.

        Raises:
            ValueError: if the name is taken, `like` is unknown, or the labels are unfit.
        """
        source = self._single_index(like) if like is not None else 0
        if name in self.config.tasks:
            raise ValueError(f"the model already has a task {name!r}; its tasks: {', '.join(self.config.tasks)}")
        self.config.task_entries = [*self.config.task_entries, {"name": name, "labels": list(labels), **settings}]
        if isinstance(self.backbone, S5ViTBackbone) and self.backbone.config.num_experts:
            for layer in self.backbone.encoder.layers:
                layer.feed_forward.experts.append(copy.deepcopy(layer.feed_forward.experts[source]))
            self.backbone.config.num_experts = len(self.config.tasks)
            self.config.backbone_config.num_experts = len(self.config.tasks)
        self._append_heads(source, len(labels))

    def _append_heads(self, source: int, num_labels: int) -> None:
        """Add the heads of one more task: copies of those of task number `source`, with a new classifier."""
        raise NotImplementedError

    def _start_classifier(self, classifier: nn.Module) -> nn.Module:
        """A classifier with new weights, where and as this model is."""
        nn.init.normal_(classifier.weight, std=classifier.initial_std)
        nn.init.zeros_(classifier.bias)
        return classifier.to(device=self.device, dtype=self.dtype)

    def merge_experts(self: Model, task: str | None = None) -> Model:
        """An ordinary dense model for one task: its expert joined with the shared part, and its heads.

        The result has one task, needs no `task` in its calls and gives the outputs of this model to float precision.

        Raises:
            ValueError: if the model has several tasks and `task` is not one of them.
        """
        index = self._single_index(task)
        config = copy.deepcopy(self.config)
        config.task_entries = [self.config.task_entries[index]]
        if config.backbone_config.model_type == S5ViTConfig.model_type:
            config.backbone_config.num_experts = 0
        dense = type(self)(type(config).from_dict(config.to_dict()))
        dense.load_state_dict(merged_state_dict(self.state_dict(), index))
        set_attention(dense, attention_of(self))
        return dense.to(device=self.device, dtype=self.dtype).train(self.training)

    def _weighted_sum(
        self, losses: Mapping[str, torch.Tensor], task_weights: Mapping[str, float] | None
    ) -> torch.Tensor:
        """The sum of the tasks' losses, each times its weight (1 where none is given)."""
        self._require_tasks(task_weights, "task_weights")
        return sum((task_weights or {}).get(name, 1.0) * loss for name, loss in losses.items())

    def _require_tasks(self, by_task: Mapping[str, Any] | None, name: str) -> None:
        """Raise a ValueError if a mapping by task names one that the model does not have."""
        unknown = set(by_task or ()) - set(self.config.tasks)
        if unknown:
            raise ValueError(f"{name} names {sorted(unknown)}; the model's tasks: {', '.join(self.config.tasks)}")

    def _backbone_arguments(
        self, groups: TaskGroups, output_hidden_states: bool | None, output_attentions: bool | None
    ) -> dict[str, Any]:
        """What the backbone is to return (what the call asks for, else what this configuration or its own asks for),
        and which expert serves which row, if it has experts."""
        wanted = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        silent = {name: (getattr(self.config, name) or None) for name, value in wanted.items() if value is None}
        arguments = {**wanted, **silent, "return_dict": True}
        if getattr(self.backbone.config, "num_experts", 0) and isinstance(self.backbone, S5ViTBackbone):
            rows = [group.index for group in groups for _ in range(group.start, group.stop)]
            arguments["expert_index"] = [index for index in rows for _ in range(self.images_per_row)]
        return arguments

    def _task_index(self, task: str | Sequence[str] | None) -> int | list[int]:
        if task is None or isinstance(task, str):
            return self._single_index(task)
        return [self._single_index(name) for name in task]

    def _single_index(self, task: str | None) -> int:
        names = list(self.config.tasks)
        if task is None and len(names) == 1:
            return 0
        if task is None:
            raise ValueError(
                f"the model has several tasks ({', '.join(names)}): give task=..., one name or one per image, "
                "or make a model of one task with merge_experts(task)"
            )
        if task not in names:
            raise ValueError(f"unknown task {task!r}; the model's tasks: {', '.join(names)}")
        return names.index(task)


def build_backbone(config: PretrainedConfig) -> PreTrainedModel:
    """The backbone of a configuration, also where own ones are not registered (code loaded from the Hub)."""
    # By model_type, not by class: transformers may load this file and the configuration's as two copies of the code.
    own = OWN_BACKBONES.get(config.model_type)
    return AutoBackbone.from_config(config) if own is None else own(config)


def load_dense(name_or_path: str) -> PreTrainedModel:
    """The encoder, segmenter or detector of a folder or a name."""
    model_type = AutoConfig.from_pretrained(name_or_path).model_type
    return MODEL_CLASSES.get(model_type, AutoBackbone).from_pretrained(name_or_path)


def attention_of(model: PreTrainedModel) -> dict[str, str]:
    """The attention implementations of a model, or a backbone, as `set_attn_implementation` takes them."""
    backbone = getattr(model, "backbone", model)
    return {"": model.config._attn_implementation, "backbone_config": backbone.config._attn_implementation}


def set_attention(model: PreTrainedModel, implementations: dict[str, str]) -> None:
    """Give a model that was made from another that one's attention implementations (see `attention_of`)."""
    if attention_of(model) != implementations:
        model.set_attn_implementation(implementations)


@torch.no_grad()
def copy_dense_weights(dense: nn.Module, model: nn.Module) -> None:
    """Copy a dense single-task model, or a backbone, into one with several tasks, experts included.

    The rows of a dense fc2 are divided: the first stay shared, the last go to every expert. Position embeddings of
    another grid are resized. The classifiers stay as they are, and so do heads of which the dense model has none.

    Raises:
        ValueError: if `dense` is not dense or not of one task, or its shapes do not fit.
    """
    state = dense.state_dict()
    if not any(key.startswith("backbone.") for key in state):
        state = {f"backbone.{key}": tensor for key, tensor in state.items()}
    tasks = {TASK_KEY.match(key)[2] for key in state if TASK_KEY.match(key)}
    if len(tasks) > 1 or any(EXPERT_KEY.match(key) for key in state):
        raise ValueError("the starting model must be dense and of one task; merge_experts(task) makes one")
    has_heads = {TASK_KEY.match(key)[1] for key in state if TASK_KEY.match(key)}
    for key, target in model.state_dict().items():
        expert, task = EXPERT_KEY.match(key), TASK_KEY.match(key)
        if NEW_KEY.match(key) or (task and task[1] not in has_heads):
            continue
        if expert:
            source = state[f"{expert[1]}.fc2.{expert[3]}"][-target.shape[0] :]
        elif task:
            source = state[f"{task[1]}.0.{task[3]}"]
        elif key.endswith(".position_embeddings"):
            source = resize_to_grid(state[key], target.shape[1])
        else:
            source = state[key][: target.shape[0]] if ".fc2." in key else state[key]
        if source.shape != target.shape:
            raise ValueError(f"{key}: the dense model gives {tuple(source.shape)}, not {tuple(target.shape)}")
        target.copy_(source)


def resize_to_grid(position_embeddings: torch.Tensor, positions: int) -> torch.Tensor:
    """Position embeddings `(1, n * n, hidden)` resized to `(1, positions, hidden)`, another square grid."""
    if position_embeddings.shape[1] == positions:
        return position_embeddings
    old, new = (math.isqrt(count) for count in (position_embeddings.shape[1], positions))
    return resize_position_embeddings(position_embeddings, (old, old), (new, new))


def merged_state_dict(state: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    """The state of the dense model of task number `index`: expert rows behind shared rows, its own heads."""
    merged = {}
    for key, tensor in state.items():
        expert, task = EXPERT_KEY.match(key), TASK_KEY.match(key)
        if expert:
            continue
        if task:
            if int(task[2]) == index:
                merged[f"{task[1]}.0.{task[3]}"] = tensor
            continue
        prefix, _, kind = key.rpartition(".")
        expert_key = f"{prefix.removesuffix('.fc2')}.experts.{index}.{kind}"
        merged[key] = torch.cat([tensor, state[expert_key]]) if expert_key in state else tensor
    return merged
