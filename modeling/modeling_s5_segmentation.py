"""S5 segmentation: one backbone, and per task a UPerNet decoder and a classifier.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning". One class covers the single-dataset model (SDF),
the shared backbone with several decoders (MDF) and the mixture of experts (MoE-MDF): they differ in the number of
`config.tasks` and in `config.backbone_config.num_experts`.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import AutoBackbone, AutoConfig, PretrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SemanticSegmenterOutput

from .configuration_s5 import S5SegmentationConfig, S5ViTConfig, Tasks
from .modeling_s5_vit import S5ViTBackbone, check_pixel_values, pad_to_patches
from .segmentation_loss import check_labels, segmentation_loss
from .task_experts import copy_dense_weights
from .task_groups import TaskGroups, group_rows
from .task_model import TaskModelMixin
from .upernet import UPerNetDecoder


@dataclass
class S5SegmenterOutput(SemanticSegmenterOutput):
    """Output of [`S5ForSemanticSegmentation`].

    Args:
        loss: sum over the tasks of the batch of their weighted losses, if `labels` were given.
        logits: `(batch, num_labels, height, width)` at the size of the input; for a batch that names one task per
            image, a list with one `(num_labels of its task, height, width)` per image, in the order of the batch.
        hidden_states, attentions: of the backbone, if asked for.
        task_losses: the loss of every task in the batch, before weighting, if `labels` were given.
    """

    logits: torch.Tensor | list[torch.Tensor] | None = None
    task_losses: dict[str, torch.Tensor] | None = None


class S5SegmentationPreTrainedModel(PreTrainedModel):
    """What transformers needs to know about the segmentation models."""

    config_class = S5SegmentationConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["S5ViTEmbeddings", "S5ViTLayer"]  # noqa: RUF012 - transformers' own form
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # By layer, because transformers passes over modules of custom code that have no parameters of their own.
        if isinstance(module, nn.Conv2d):
            if hasattr(module, "initial_std"):
                init.normal_(module.weight, mean=0.0, std=module.initial_std)
            else:
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
            init.zeros_(module.num_batches_tracked)
        elif isinstance(module, UPerNetDecoder):
            init.zeros_(module.unused_classifier_weight)
            init.zeros_(module.unused_classifier_bias)


class S5ForSemanticSegmentation(TaskModelMixin, S5SegmentationPreTrainedModel):
    """Semantic segmentation for one or many tasks.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoConfig, AutoModelForSemanticSegmentation
    >>> config = AutoConfig.from_pretrained("s5-vit-ti-moe")
    >>> list(config.tasks)
    ['vaihingen', 'potsdam', 'openearthmap', 'loveda']
    >>> model = AutoModelForSemanticSegmentation.from_config(config).eval()
    >>> model(torch.zeros(1, 3, 60, 80), task="loveda").logits.shape
    torch.Size([1, 7, 60, 80])
    >>> [tuple(logits.shape) for logits in model(torch.zeros(2, 3, 64, 64), task=["potsdam", "loveda"]).logits]
    [(5, 64, 64), (7, 64, 64)]

    ```
    """

    def __init__(self, config: S5SegmentationConfig) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config.backbone_config)
        self.decoders = nn.ModuleList(self._new_decoder() for _ in config.tasks)
        self.classifiers = nn.ModuleList(self._new_classifier(len(labels)) for labels in config.tasks.values())
        self.dropout = nn.Dropout2d(config.classifier_dropout)
        self.post_init()

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        task: str | Sequence[str] | None = None,
        task_weights: Mapping[str, float] | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: object,
    ) -> S5SegmenterOutput | tuple:
        """Segment images, of one task or of several in one batch.

        Args:
            pixel_values: normalised images `(batch, channels, height, width)`, any height and width.
            labels: class ids `(batch, height, width)`, integers in `0..num_labels - 1` of the image's task, or that
                task's ignore index.
            task: the task of the batch, or one per image; may be left out if the model has one task.
            task_weights: weight of a task's loss in the sum (1 where not given; 0 switches a task off, as the
                official recipe does with Vaihingen for the first epochs).
            output_hidden_states, output_attentions: also return those of the backbone.

        Raises:
            ValueError: for a wrong shape, an empty batch, an unknown or missing task, or labels that do not fit.
        """
        check_pixel_values(pixel_values, getattr(self.backbone.config, "num_channels", pixel_values.shape[1]))
        groups = group_rows(self._task_index(task), pixel_values.shape[0], len(self.config.tasks))
        if labels is not None:
            check_labels(labels, pixel_values)
            labels = groups.sort(labels)
        pixel_values = groups.sort(pixel_values)

        patch_size = getattr(self.backbone.config, "patch_size", 1)
        padded = pad_to_patches(pixel_values, patch_size if isinstance(patch_size, int) else 1)
        outputs = self.backbone(
            padded,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
            **self._expert_arguments(groups),
        )
        logits = self._decode(outputs.feature_maps, groups, padded.shape[2:], pixel_values.shape[2:])

        loss, task_losses = (None, None) if labels is None else self._losses(logits, labels, groups, task_weights)
        output = S5SegmenterOutput(
            loss=loss,
            logits=logits[0] if task is None or isinstance(task, str) else self._per_image(logits, groups),
            hidden_states=groups.restore_all(outputs.hidden_states),
            attentions=groups.restore_all(outputs.attentions),
            task_losses=task_losses,
        )
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()

    def decode_features(self, feature_maps: Sequence[torch.Tensor], task: str | None = None) -> torch.Tensor:
        """The decoder's map `(batch, decoder_channels, ...)` for backbone maps of one task, before the classifier."""
        return self.decoders[self._single_index(task)](feature_maps)

    @classmethod
    def from_backbone(
        cls,
        backbone: str | PreTrainedModel,
        tasks: Tasks,
        ignore_index: int | Mapping[str, int] = 255,
        **kwargs: object,
    ) -> "S5ForSemanticSegmentation":
        """A segmenter on a pre-trained backbone (a model, a folder or a name); decoders and classifiers are new.

        Args:
            backbone: what `AutoBackbone.from_pretrained` takes, or the backbone itself (used, not copied).
            tasks: names and labels of the tasks.
            ignore_index: label value left out of the loss.
            **kwargs: further arguments of [`S5SegmentationConfig`].
        """
        if not isinstance(backbone, PreTrainedModel):
            is_s5 = isinstance(AutoConfig.from_pretrained(backbone), S5ViTConfig)
            backbone = (S5ViTBackbone if is_s5 else AutoBackbone).from_pretrained(backbone)
        config = S5SegmentationConfig(
            backbone_config=backbone.config, tasks=tasks, ignore_index=ignore_index, **kwargs
        )
        model = cls(config)
        model.backbone = backbone
        return model

    @classmethod
    def from_dense(
        cls,
        dense: "str | S5ForSemanticSegmentation",
        tasks: Tasks,
        expert_channels: int = 256,
        ignore_index: int | Mapping[str, int] = 255,
    ) -> "S5ForSemanticSegmentation":
        """A mixture-of-experts model started from a dense single-task one (after S4 pre-training).

        The first rows of every fc2 become the shared part, the last `expert_channels` rows are copied into every
        expert, the decoder into every decoder (section 4 of the paper's supplement; official code alike). At step 0
        every task gives exactly the features of the dense model. The classifiers are new.

        Args:
            dense: the dense model, a folder or a name.
            tasks: names and labels of the tasks; their order is the order of the experts.
            expert_channels: output channels of fc2 that belong to the expert; 0 gives MDF without experts.
            ignore_index: label value left out of the loss.

        Raises:
            ValueError: if `dense` has experts already or several tasks, or experts are asked of a backbone that is
                no S5 ViT.
        """
        if not isinstance(dense, PreTrainedModel):
            dense = cls.from_pretrained(dense)
        config = copy.deepcopy(dense.config)
        config.ignore_index = ignore_index if isinstance(ignore_index, int) else dict(ignore_index)
        config.tasks = tasks
        if expert_channels and config.backbone_config.model_type != S5ViTConfig.model_type:
            raise ValueError(
                f"experts belong to the S5 ViT, the backbone is a {config.backbone_config.model_type!r}; "
                "give expert_channels=0 for one decoder per task on a shared backbone"
            )
        if expert_channels:
            config.backbone_config.num_experts = len(config.tasks)
            config.backbone_config.expert_channels = expert_channels
        model = cls(S5SegmentationConfig.from_dict(config.to_dict())).to(dense.dtype)
        copy_dense_weights(dense, model)
        return model.to(dense.device).train(dense.training)

    def add_task(self, name: str, labels: Sequence[str], ignore_index: int = 255, like: str | None = None) -> None:
        """Give a trained model one more task.

        Expert and decoder start as copies of those of the task `like` (default: the first), the classifier is new.
        The other tasks keep their outputs.

        Raises:
            ValueError: if the name is taken, `like` is unknown, or the labels are unfit.
        """
        source = self._single_index(like) if like is not None else 0
        self._append_task({"name": name, "labels": list(labels), "ignore_index": ignore_index}, source)
        self.decoders.append(copy.deepcopy(self.decoders[source]))
        classifier = self._new_classifier(len(labels))
        nn.init.normal_(classifier.weight, std=classifier.initial_std)
        nn.init.zeros_(classifier.bias)
        self.classifiers.append(classifier.to(device=self.device, dtype=self.dtype))

    def _new_decoder(self) -> UPerNetDecoder:
        return UPerNetDecoder(self.backbone.channels, self.config.decoder_channels, self.config.pool_scales)

    def _new_classifier(self, num_labels: int) -> nn.Conv2d:
        classifier = nn.Conv2d(self.config.decoder_channels, num_labels, kernel_size=1)
        classifier.initial_std = self.config.initializer_range
        return classifier

    def _decode(
        self,
        feature_maps: Sequence[torch.Tensor],
        groups: TaskGroups,
        padded_size: Sequence[int],
        image_size: Sequence[int],
    ) -> list[torch.Tensor]:
        """Per group, logits `(rows, num_labels, height, width)` at the size of the images."""
        logits = []
        for group in groups:
            features = self.decoders[group.index]([level[group.start : group.stop] for level in feature_maps])
            # A plane per class, and no longer channels last: softmax, losses and maps read whole planes.
            coarse = self.classifiers[group.index](self.dropout(features)).contiguous()
            # align_corners True here, and only here, as in the official head.
            fine = functional.interpolate(coarse, size=tuple(padded_size), mode="bilinear", align_corners=True)
            logits.append(fine[:, :, : image_size[0], : image_size[1]])
        return logits

    def _losses(
        self,
        logits: Sequence[torch.Tensor],
        labels: torch.Tensor,
        groups: TaskGroups,
        task_weights: Mapping[str, float] | None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        names = list(self.config.tasks)
        losses = {}
        for group, group_logits in zip(groups, logits, strict=True):
            name = names[group.index]
            ignore_index = self.config.ignore_index_of(name)
            losses[name] = segmentation_loss(group_logits, labels[group.start : group.stop], ignore_index, task=name)
        return self._weighted_sum(losses, task_weights), losses

    def _per_image(self, logits: Sequence[torch.Tensor], groups: TaskGroups) -> list[torch.Tensor]:
        rows = [image for group_logits in logits for image in group_logits]
        if groups.order is None:
            return rows
        in_order: list[torch.Tensor] = list(rows)
        for row, position in zip(rows, groups.order, strict=True):
            in_order[position] = row
        return in_order


def build_backbone(config: PretrainedConfig) -> PreTrainedModel:
    """The backbone of a configuration, also where the S5 ViT is not registered (code loaded from the Hub)."""
    # By model_type, not by class: transformers may load this file and the configuration's as two copies of the code.
    return S5ViTBackbone(config) if config.model_type == S5ViTConfig.model_type else AutoBackbone.from_config(config)


__all__ = ["S5ForSemanticSegmentation", "S5SegmenterOutput"]
