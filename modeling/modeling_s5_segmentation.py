"""S5 segmentation: one backbone, and per task a decoder (UPerNet or DPT) and a classifier.

Source: S5 (arXiv 2508.12409), section "Multi-Dataset Fine-tuning". One class covers the single-dataset model (SDF),
the shared backbone with several decoders (MDF) and the mixture of experts (MoE-MDF): they differ in the number of
`config.tasks` and in `config.backbone_config.num_experts`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import initialization as init
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.utils import can_return_tuple

from .configuration_s5 import S5SegmentationConfig
from .dpt import DPTDecoder, initialise_as_torch
from .image_sizes import check_pixel_values, pad_to_patches, resize_to_patches
from .segformer_decoder import DeepClassifier, SegformerDecoder
from .segmentation_loss import check_label_ranges, check_labels, labelled_pixels, masked_cross_entropy
from .task_model import S5TaskPreTrainedModel, build_backbone
from .tasks import TaskGroups, group_rows
from .teacher_fusion import TeacherFusion
from .upernet import UPerNetDecoder


@dataclass
class S5SegmenterOutput(SemanticSegmenterOutput):
    """Output of [`S5ForSemanticSegmentation`].

    Args:
        loss: sum over the tasks of the batch of their weighted losses, if `labels` were given.
        logits: at the size of the input. A call with one task for all images gives a tensor
            `(batch, num_labels, height, width)`. A call with `task` as a list gives a list, in the order of the batch,
            with one `(num_labels of its task, height, width)` per image, whatever the tasks are.
        hidden_states, attentions: of the backbone, if asked for.
        task_losses: the loss of every task in the batch, before weighting, if `labels` were given.
        task_logits: of a call with `task` as a list: the same logits by task, each
            `(images of the task, num_labels, height, width)`. The tasks are in the order of `config.tasks`; the
            entries of `logits` are views of these.
        task_rows: of the same call: for each of these tasks, the places of its images in the batch.
    """

    logits: torch.Tensor | list[torch.Tensor] | None = None
    task_losses: dict[str, torch.Tensor] | None = None
    task_logits: dict[str, torch.Tensor] | None = None
    task_rows: dict[str, list[int]] | None = None


class S5ForSemanticSegmentation(S5TaskPreTrainedModel):
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

    config_class = S5SegmentationConfig
    _no_split_modules = [*S5TaskPreTrainedModel._no_split_modules, "UPerNetDecoder", "DPTDecoder", "SegformerDecoder"]  # noqa: RUF012 - as in transformers

    def __init__(self, config: S5SegmentationConfig) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config.backbone_config)
        self._make_heads(config)
        self.dropout = nn.Dropout2d(config.classifier_dropout)
        self.fusion = TeacherFusion(self.backbone.channels[-1], config.teachers) if config.teachers else None
        self.post_init()

    def _make_heads(self, config: S5SegmentationConfig) -> None:
        """Make a decoder and a classifier for every task."""
        self.decoders = nn.ModuleList(self._new_decoder() for _ in config.tasks)
        self.classifiers = nn.ModuleList(self._new_classifier(len(labels)) for labels in config.tasks.values())

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # By layer, because transformers passes over modules of custom code that have no parameters of their own.
        if getattr(module, "starts_as_in_torch", False):
            initialise_as_torch(module)
        elif isinstance(module, nn.Conv2d):
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

    # Written out as in `S5ForOrientedObjectDetection`: `Trainer`, exporters and readers look at the signature.
    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        task: str | Sequence[str] | None = None,
        task_weights: Mapping[str, float] | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        class_weights: Mapping[str, torch.Tensor] | None = None,
        ignore_index: int | None = None,
        reduce_count: Callable[[torch.Tensor], torch.Tensor] | None = None,
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
            output_hidden_states, output_attentions: also return those of the backbone (default: what the
                configuration says).
            class_weights: by task, float `(num_labels,)`: weights of its classes in its loss (equal where not given).
            ignore_index: label value left out of every task's loss in place of the configured ones.
            reduce_count: turns the number of labelled pixels of a task (weighted by class, a scalar) into the divisor
                of its loss; called once per task of the batch, in the order of `config.tasks`. Distributed training
                takes the mean over the processes here. By default the number itself.

        Raises:
            ValueError: for a wrong shape, an empty batch, an unknown or missing task, or labels that do not fit.
        """
        self._check_images(pixel_values)
        groups = group_rows(self._task_index(task), pixel_values.shape[0], len(self.config.tasks))
        if labels is not None:
            check_labels(labels, pixel_values)
            self._require_tasks(class_weights, "class_weights")
            labels = groups.sort(labels)
        images = self._single_images(groups.sort(pixel_values))

        patch_size = getattr(self.backbone.config, "patch_size", 1)
        fit = {"pad": pad_to_patches, "resize": resize_to_patches}[self.config.image_fit]
        padded = fit(images, patch_size if isinstance(patch_size, int) else 1)
        arguments = self._backbone_arguments(groups, output_hidden_states, output_attentions)
        outputs = self.backbone(padded, **arguments)
        feature_maps = self._fused(outputs.feature_maps, padded, arguments)
        logits = self._decode(feature_maps, groups, padded.shape[2:], images.shape[2:])

        names = list(self.config.tasks)
        task_losses = None
        if labels is not None:
            task_losses = self._task_losses(logits, labels, groups, class_weights, ignore_index, reduce_count)
        output = S5SegmenterOutput(
            loss=None if task_losses is None else self._weighted_sum(task_losses, task_weights),
            logits=logits[0],
            hidden_states=groups.restore_all(self._by_row(outputs.hidden_states)),
            attentions=groups.restore_all(self._by_row(outputs.attentions)),
            task_losses=task_losses,
        )
        if not (task is None or isinstance(task, str)):
            output.task_rows = {names[group.index]: groups.rows(group) for group in groups}
            output.task_logits = dict(zip(output.task_rows, logits, strict=True))
            output.logits = per_image(output.task_logits, output.task_rows)
        return output

    def decode_features(self, feature_maps: Sequence[torch.Tensor], task: str | None = None) -> torch.Tensor:
        """The decoder's map `(batch, decoder_channels, ...)` for backbone maps of one task, before the classifier."""
        return self.decoders[self._single_index(task)](feature_maps)

    def fuse_teachers(self, teachers: Sequence[Mapping[str, Any]]) -> None:
        """Let the network predict and fuse the tokens of frozen teachers from now on (see `TeacherFusion`).

        A network that does so for the same teachers keeps what it has learnt.

        Raises:
            ValueError: if it does so for other teachers, or its decoder is not `dpt`.
        """
        teachers = [dict(teacher) for teacher in teachers]
        if self.fusion is not None and self.config.teachers == teachers:
            return
        if self.fusion is not None:
            raise ValueError(f"the network fuses other teachers already: {self.config.teachers}, not {teachers}")
        if self.config.decoder != "dpt":
            raise ValueError("teachers are fused into the maps of a plain ViT: this needs decoder: dpt")
        self.fusion = TeacherFusion(self.backbone.channels[-1], teachers).to(device=self.device, dtype=self.dtype)
        self.config.teachers = teachers

    # What a model of several images per row does in its own way, see `S5ForChangeDetection`.

    def _check_images(self, pixel_values: torch.Tensor) -> None:
        """Raise a ValueError unless the network takes such rows."""
        check_pixel_values(pixel_values, getattr(self.backbone.config, "num_channels", pixel_values.shape[1]))

    def _single_images(self, rows: torch.Tensor) -> torch.Tensor:
        """The images of sorted rows, `(images, channels, height, width)`, as the backbone takes them."""
        return rows

    def _by_row(self, tensors: Sequence[torch.Tensor] | None) -> Sequence[torch.Tensor] | None:
        """Tensors of images as tensors of rows."""
        return tensors

    def _group_logits(self, index: int, feature_maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Coarse logits `(rows, ..., ...)` of task number `index` from the maps of its images."""
        return self.classifiers[index](self.dropout(self.decoders[index](feature_maps)))

    def _task_logits(self, index: int, logits: torch.Tensor) -> torch.Tensor:
        """Logits of the labels of task number `index` from `_group_logits` at the size of the images."""
        return logits

    def _fused(
        self, feature_maps: Sequence[torch.Tensor], images: torch.Tensor, arguments: Mapping[str, Any]
    ) -> Sequence[torch.Tensor]:
        """The maps, the last one with the teachers' part where there are any."""
        if self.fusion is None:
            return feature_maps
        resized = {
            side: self.backbone(
                functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=True), **arguments
            ).feature_maps[-1]
            for side in self.fusion.image_sizes
        }
        fused, _ = self.fusion(feature_maps[-1], resized)
        return [*feature_maps[:-1], fused]

    def _append_heads(self, source: int, num_labels: int) -> None:
        self.decoders.append(copy.deepcopy(self.decoders[source]))
        self.classifiers.append(self._added_classifier(num_labels))

    def _added_classifier(self, num_labels: int) -> nn.Module:
        """A classifier for one more task, where and as this model is."""
        classifier = self._new_classifier(num_labels)
        if self.config.decoder == "upernet":
            classifier = self._start_classifier(classifier)
        return classifier.to(device=self.device, dtype=self.dtype)

    def _new_decoder(self) -> UPerNetDecoder | DPTDecoder | SegformerDecoder:
        if self.config.decoder == "dpt":
            if getattr(self.config.backbone_config, "use_feature_pyramid", False):
                raise ValueError("the dpt decoder needs maps of one grid: give the S5 ViT use_feature_pyramid=False")
            decoder = DPTDecoder(
                self.backbone.channels, self.config.decoder_channels, self.config.decoder_level_channels
            )
            for layer in decoder.modules():
                layer.starts_as_in_torch = isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
            return decoder
        if self.config.decoder == "segformer":
            decoder = SegformerDecoder(self.backbone.channels, self.config.decoder_channels)
            for layer in decoder.projections:
                layer.starts_as_in_torch = True
            return decoder
        return UPerNetDecoder(self.backbone.channels, self.config.decoder_channels, self.config.pool_scales)

    def _new_classifier(self, num_labels: int) -> nn.Conv2d | DeepClassifier:
        if self.config.decoder == "segformer":
            classifier = DeepClassifier(len(self.backbone.channels) * self.config.decoder_channels, num_labels)
            for layer in classifier:
                layer.starts_as_in_torch = isinstance(layer, nn.Conv2d)
            return classifier
        classifier = nn.Conv2d(self.config.decoder_channels, num_labels, kernel_size=1)
        classifier.initial_std = self.config.initializer_range
        classifier.starts_as_in_torch = self.config.decoder == "dpt"
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
            own = slice(group.start * self.images_per_row, group.stop * self.images_per_row)
            # A plane per class, and no longer channels last: softmax, losses and maps read whole planes.
            coarse = self._group_logits(group.index, [level[own] for level in feature_maps]).contiguous()
            # align_corners True here, and only here, as in the official head; SegFormer's has False.
            align = self.config.decoder != "segformer"
            fine = functional.interpolate(coarse, size=tuple(padded_size), mode="bilinear", align_corners=align)
            if self.config.image_fit == "resize" and tuple(padded_size) != tuple(image_size):
                fine = functional.interpolate(fine, size=tuple(image_size), mode="bilinear", align_corners=True)
            logits.append(self._task_logits(group.index, fine[:, :, : image_size[0], : image_size[1]]))
        return logits

    def _task_losses(
        self,
        logits: Sequence[torch.Tensor],
        labels: torch.Tensor,
        groups: TaskGroups,
        class_weights: Mapping[str, torch.Tensor] | None,
        ignore_index: int | None,
        reduce_count: Callable[[torch.Tensor], torch.Tensor] | None,
    ) -> dict[str, torch.Tensor]:
        """The loss of every task of the batch; logits per group, labels sorted."""
        names, known = list(self.config.tasks), {}
        for group, of_group in zip(groups, logits, strict=True):
            task = names[group.index]
            ignored = self.config.ignore_index_of(task) if ignore_index is None else ignore_index
            known[task] = (labels[group.start : group.stop], of_group.shape[1], ignored)
        check_label_ranges(known)
        losses = {}
        for (task, (targets, _, ignored)), of_group in zip(known.items(), logits, strict=True):
            weights = (class_weights or {}).get(task)
            count = labelled_pixels(targets, ignored, weights)
            count = count if reduce_count is None else reduce_count(count)
            losses[task] = masked_cross_entropy(of_group, targets, ignored, weights, count)
        return losses


def per_image(logits: Mapping[str, torch.Tensor], rows: Mapping[str, Sequence[int]]) -> list[torch.Tensor]:
    """The logits of every image, in the order of the batch, from those of every task."""
    by_place = {place: image for task in logits for place, image in zip(rows[task], logits[task], strict=True)}
    return [by_place[place] for place in range(len(by_place))]


__all__ = ["S5ForSemanticSegmentation", "S5SegmenterOutput"]
