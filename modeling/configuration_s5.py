"""Configurations of the S5 networks.

Source: S5 (arXiv 2508.12409) and its official release; sizes and taps as published.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

try:
    from transformers.backbone_utils import BackboneConfigMixin
except ImportError:  # transformers < 5.3 keeps it elsewhere
    from transformers.utils.backbone_utils import BackboneConfigMixin

# out_indices count the stem as 0, so block k (0-based) is stage k + 1.
VIT_SIZES: dict[str, dict[str, Any]] = {
    "ti": {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "out_indices": [4, 6, 8, 12]},
    "s": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "out_indices": [4, 6, 8, 12]},
    "b": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "out_indices": [4, 6, 8, 12]},
    "l": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "out_indices": [8, 12, 16, 24]},
    "h": {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "out_indices": [16, 24, 28, 32]},
}

Tasks = Mapping[str, Sequence[str]] | Sequence[Mapping[str, Any]]


class S5ViTConfig(BackboneConfigMixin, PretrainedConfig):
    """Configuration of [`S5ViTModel`] and [`S5ViTBackbone`]: the ViT of S5, dense or with task experts.

    Args:
        hidden_size: width of the tokens.
        num_hidden_layers: number of blocks.
        num_attention_heads: heads of the attention; divides `hidden_size`.
        intermediate_size: width inside the feed-forward part; 4 x `hidden_size` if left out.
        hidden_act: activation of the feed-forward part. Eq. 8 of the paper writes ReLU, the official code uses GELU.
        layer_norm_eps: epsilon of the layer norms (MAE pre-training used 1e-6, S5 uses 1e-5).
        attention_dropout: dropout on the attention weights.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 over the blocks and acts on the
            feed-forward branch only.
        initializer_range: standard deviation of new weights.
        image_size: height and width in pixels for which the position embeddings are stored. Other sizes work:
            the embeddings are resized at run time.
        patch_size: side of a patch in pixels.
        num_channels: channels of an image.
        num_experts: 0 for a dense ViT; otherwise one expert per task in every feed-forward part (MoE-MDF).
        expert_channels: output channels of fc2 that belong to the expert (256 in every official model).
        use_feature_pyramid: whether the backbone returns the official four-level pyramid (strides 4, 8, 16, 32) or
            the plain maps of its taps (stride 16).
        out_features, out_indices: taps of the backbone, as names (`"stage4"`) or as positions (4).
    """

    model_type = "s5_vit"

    def __init__(
        self,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int | None = None,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-5,
        attention_dropout: float = 0.0,
        drop_path_rate: float = 0.1,
        initializer_range: float = 0.02,
        image_size: int = 512,
        patch_size: int = 16,
        num_channels: int = 3,
        num_experts: int = 0,
        expert_channels: int = 256,
        use_feature_pyramid: bool = True,
        out_features: list[str] | None = None,
        out_indices: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = 4 * hidden_size if intermediate_size is None else intermediate_size
        self.hidden_act = hidden_act
        self.layer_norm_eps = layer_norm_eps
        self.attention_dropout = attention_dropout
        self.drop_path_rate = drop_path_rate
        self.initializer_range = initializer_range
        self.image_size = image_size
        self.patch_size = patch_size
        self.num_channels = num_channels
        self.num_experts = num_experts
        self.expert_channels = expert_channels
        self.use_feature_pyramid = use_feature_pyramid
        self._check_sizes()

        kwargs.pop("stage_names", None)
        super().__init__(**kwargs)
        self.stage_names = ["stem", *(f"stage{index}" for index in range(1, num_hidden_layers + 1))]
        if out_features is not None:
            self.out_features = list(out_features)
        else:
            self.out_indices = list(out_indices) if out_indices is not None else default_taps(num_hidden_layers)

    @classmethod
    def from_size(cls, size: str, **overrides: Any) -> "S5ViTConfig":
        """The configuration of a published size (`"b"`, `"l"`, `"h"`) or of a small one (`"ti"`, `"s"`).

        Raises:
            ValueError: if the size is not known; the message lists the known ones.
        """
        if size not in VIT_SIZES:
            raise ValueError(f"unknown ViT size {size!r}; known sizes: {', '.join(VIT_SIZES)}")
        return cls(**{**VIT_SIZES[size], **overrides})

    def _check_sizes(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.image_size % self.patch_size:
            raise ValueError(f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}")
        if self.num_experts and not 0 < self.expert_channels < self.hidden_size:
            raise ValueError(
                f"expert_channels must lie between 1 and hidden_size - 1 = {self.hidden_size - 1}, "
                f"got {self.expert_channels}"
            )


def default_taps(num_hidden_layers: int) -> list[int]:
    """Taps (as `out_indices`) of a ViT of this depth: the published ones where there are, else the four quarters."""
    for size in VIT_SIZES.values():
        if size["num_hidden_layers"] == num_hidden_layers:
            return list(size["out_indices"])
    return sorted({max(1, round(num_hidden_layers * quarter / 4)) for quarter in range(1, 5)})


class S5SegmentationConfig(PretrainedConfig):
    """Configuration of [`S5ForSemanticSegmentation`]: one backbone, one UPerNet decoder and head per task.

    Args:
        backbone_config: an [`S5ViTConfig`] (default: ViT-B) or the configuration of any `AutoBackbone`, as an object
            or as a dictionary with `model_type`.
        tasks: ordered mapping of a task's name to its labels, such as `{"loveda": ["background", ...]}`. A model
            with one task may give `id2label` or `num_labels` instead, as everywhere in transformers.
        ignore_index: label value that the loss leaves out; one number for all tasks or a mapping by task.
        decoder_channels: width of the UPerNet decoders.
        pool_scales: grid sizes of the pyramid pooling.
        classifier_dropout: probability of dropping a channel before the classifier.
        initializer_range: standard deviation of new classifier weights.

    In memory `config.tasks` is a dictionary; in config.json it is a list, because JSON written by transformers sorts
    the keys of a dictionary and the order of the tasks is the order of the experts.
    """

    model_type = "s5_segmentation"
    sub_configs = {"backbone_config": S5ViTConfig}  # noqa: RUF012 - the attribute's form is transformers' own

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        tasks: Tasks | None = None,
        ignore_index: int | Mapping[str, int] = 255,
        decoder_channels: int = 256,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        classifier_dropout: float = 0.1,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.backbone_config = make_backbone_config(backbone_config)
        self.decoder_channels = decoder_channels
        self.pool_scales = list(pool_scales)
        self.classifier_dropout = classifier_dropout
        self.initializer_range = initializer_range
        self.ignore_index = ignore_index if isinstance(ignore_index, int) else dict(ignore_index)
        super().__init__(**kwargs)
        if tasks is not None:
            self.tasks = tasks
        else:
            self._tasks = {"segmentation": []}
        self._check_experts()

    @property
    def tasks(self) -> dict[str, list[str]]:
        """Task names and their labels, in the order of experts and decoders."""
        if len(self._tasks) == 1:
            # With one task id2label is the truth, so that `from_pretrained(..., id2label=...)` means what it says.
            return {name: [self.id2label[index] for index in sorted(self.id2label)] for name in self._tasks}
        return {name: list(labels) for name, labels in self._tasks.items()}

    @tasks.setter
    def tasks(self, tasks: Tasks) -> None:
        if isinstance(tasks, Mapping):
            self._tasks = {name: list(labels) for name, labels in tasks.items()}
        else:
            self._tasks = {task["name"]: list(task["labels"]) for task in tasks}
            if len(self._tasks) != len(tasks):
                raise ValueError(f"two tasks share a name: {[task['name'] for task in tasks]}")
            self.ignore_index = {
                task["name"]: task.get("ignore_index", self.ignore_index_of(task["name"])) for task in tasks
            }
        self._check_tasks()
        # Several tasks have no common list of labels: `config.tasks` holds them, id2label stays empty.
        only = next(iter(self._tasks.values())) if len(self._tasks) == 1 else []
        self.id2label = dict(enumerate(only))
        self.label2id = {label: index for index, label in self.id2label.items()}

    def ignore_index_of(self, task: str) -> int:
        """The label value that the loss of `task` leaves out."""
        return self.ignore_index if isinstance(self.ignore_index, int) else self.ignore_index.get(task, 255)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; `tasks` becomes a list with name, labels and ignore index."""
        output = super().to_dict()
        output.pop("_tasks", None)
        output["tasks"] = [
            {"name": name, "labels": labels, "ignore_index": self.ignore_index_of(name)}
            for name, labels in self.tasks.items()
        ]
        output.pop("ignore_index", None)
        return output

    def _check_tasks(self) -> None:
        if not self._tasks:
            raise ValueError("tasks is empty; expected a mapping of a task's name to its labels")
        for name, labels in self._tasks.items():
            if len(labels) < 2:
                raise ValueError(f"task {name!r} needs at least two labels, got {labels}")
            if len(set(labels)) != len(labels):
                raise ValueError(f"task {name!r} repeats a label: {labels}")

    def _check_experts(self) -> None:
        num_experts = getattr(self.backbone_config, "num_experts", 0)
        if isinstance(self.backbone_config, S5ViTConfig) and num_experts not in (0, len(self._tasks)):
            raise ValueError(f"the backbone has {num_experts} experts but there are {len(self._tasks)} tasks")


def make_backbone_config(backbone_config: PretrainedConfig | dict[str, Any] | None) -> PretrainedConfig:
    """Turn what a user may give as `backbone_config` into a configuration object.

    Raises:
        ValueError: if a dictionary names no known `model_type`.
    """
    if backbone_config is None:
        return S5ViTConfig()
    if isinstance(backbone_config, PretrainedConfig):
        return backbone_config
    settings = dict(backbone_config)
    model_type = settings.pop("model_type", None)
    if model_type == S5ViTConfig.model_type:
        return S5ViTConfig(**settings)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"backbone_config names model_type {model_type!r}, which transformers does not know")
    return CONFIG_MAPPING[model_type](**settings)


__all__ = ["S5SegmentationConfig", "S5ViTConfig", "VIT_SIZES"]
