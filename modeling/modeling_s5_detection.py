"""S5 oriented object detection: one backbone, and per task an oriented R-CNN.

Source: S5 (arXiv 2508.12409), "Multi-Dataset Fine-tuning", and Oriented R-CNN (arXiv 2108.05699) as the official
release configures it. One class covers the single-dataset model (SDF), the shared backbone with several detectors
(MDF) and the mixture of experts (MoE-MDF).
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .anchors import STRIDES, check_strides
from .configuration_s5 import S5DetectionConfig
from .detection_labels import ImageLabels, check_classes, read_labels
from .host_values import on_device
from .image_sizes import (
    centred_in_padding,
    check_image_sizes,
    check_pixel_values,
    pad_to_patches,
    read_image_sizes,
)
from .necks import FeaturePyramidNetwork
from .oriented_roi_head import OrientedRoIHead, new_classifier
from .oriented_rpn import OrientedRPN, RPNOutput
from .soft_labels import ImagesOfTask, soft_losses
from .task_model import S5TaskPreTrainedModel, build_backbone
from .tasks import TaskGroup, group_rows

# Images are padded to whole cells of the coarsest map of the backbone.
COARSEST_STRIDE = STRIDES[3]


@dataclass
class S5ObjectDetectionOutput(ModelOutput):
    """Output of [`S5ForOrientedObjectDetection`]. Lists have one entry per image, in the order of the batch.

    Args:
        loss: sum over the tasks of the batch of their weighted losses, if `labels` were given; of the images whose
            objects are certain.
        logits: `(n, num_labels of its task + 1)` per image, one row per proposal; the last column is background.
            None in training mode with labels, where nothing is predicted.
        pred_boxes: `(n, 5)` per image, the oriented box of every row of `logits` in pixels of the input.
        proposals: `(n, 5)` per image, the proposals that they refine.
        proposal_scores: `(n,)` per image, between 0 and 1.
        image_sizes: int64 `(batch, 2)`, height and width of the images without padding.
        task_losses: the loss of every task in the batch, before weighting, if `labels` were given.
        loss_parts: for every task in the batch its loss in parts: `rpn_cls`, `rpn_bbox`, `cls` and `bbox`.
        soft_loss_parts: the same of the images whose labels have `"weights"`, if there are any.
        hidden_states, attentions: of the backbone, if asked for.
    """

    loss: torch.Tensor | None = None
    logits: list[torch.Tensor] | None = None
    pred_boxes: list[torch.Tensor] | None = None
    proposals: list[torch.Tensor] | None = None
    proposal_scores: list[torch.Tensor] | None = None
    image_sizes: torch.Tensor | None = None
    task_losses: dict[str, torch.Tensor] | None = None
    loss_parts: dict[str, dict[str, torch.Tensor]] | None = None
    soft_loss_parts: dict[str, dict[str, torch.Tensor]] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass(frozen=True)
class ImagePrediction:
    """What is predicted for one image: see the entries of the same names in [`S5ObjectDetectionOutput`]."""

    logits: torch.Tensor
    pred_boxes: torch.Tensor
    proposals: torch.Tensor
    proposal_scores: torch.Tensor


class S5ForOrientedObjectDetection(S5TaskPreTrainedModel):
    """Oriented object detection for one or many tasks.

    ```python
    >>> import torch, s5_hf
    >>> from transformers import AutoConfig, AutoImageProcessor, AutoModelForObjectDetection
    >>> config = AutoConfig.from_pretrained("s5-vit-ti-moe-det")
    >>> list(config.tasks)
    ['dior', 'dota']
    >>> model = AutoModelForObjectDetection.from_config(config).eval()
    >>> outputs = model(torch.zeros(1, 3, 96, 128), task="dota")
    >>> outputs.logits[0].shape[1]
    19
    >>> processor = AutoImageProcessor.from_pretrained("s5-vit-ti-moe-det")
    >>> sorted(processor.post_process_oriented_object_detection(outputs, threshold=0.5)[0])
    ['boxes', 'labels', 'scores']

    ```
    """

    config_class = S5DetectionConfig
    _no_split_modules = [  # noqa: RUF012 - transformers' own form
        *S5TaskPreTrainedModel._no_split_modules,
        *("FeaturePyramidNetwork", "OrientedRPN", "OrientedRoIHead"),
    ]

    def __init__(self, config: S5DetectionConfig) -> None:
        super().__init__(config)
        self.backbone = build_backbone(config.backbone_config)
        self.necks = nn.ModuleList(self._new_neck() for _ in config.tasks)
        self.rpn_heads = nn.ModuleList(OrientedRPN(config) for _ in config.tasks)
        self.roi_heads = nn.ModuleList(OrientedRoIHead(config, len(labels)) for labels in config.tasks.values())
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # What the release intends; its detector never calls it and keeps the defaults of torch. By layer, because
        # transformers passes over modules of custom code that have no parameters of their own.
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            if hasattr(module, "initial_std"):
                init.normal_(module.weight, mean=0.0, std=module.initial_std)
            else:
                init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)

    # Written out as in `S5ForSemanticSegmentation`: `Trainer`, exporters and readers look at the signature.
    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: Sequence[Mapping[str, torch.Tensor]] | None = None,
        task: str | Sequence[str] | None = None,
        task_weights: Mapping[str, float] | None = None,
        pixel_mask: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        image_sizes: Sequence[Sequence[int]] | None = None,
        **kwargs: object,
    ) -> S5ObjectDetectionOutput | tuple:
        """Detect objects in images, of one task or of several in one batch.

        With `labels` the losses are computed; in training mode they are all there is, in eval mode predictions come
        as well. The training samples are drawn at random (on the CPU).

        Args:
            pixel_values: normalised images `(batch, channels, height, width)`, any height and width.
            labels: per image a mapping with `"boxes"`, oriented boxes `(n, 5)` (cx, cy, w, h, theta) in pixels and
                radians as in `oriented_boxes.py`, and `"class_labels"`, integers `(n,)` in `0..num_labels - 1` of the
                image's task. Images without objects have empty ones. Pseudo-boxes also have `"weights"` `(n,)`, and
                may have `"uncertain_boxes"` beside them: see `read_labels` and `soft_labels.py`.
            task: the task of the batch, or one per image; may be left out if the model has one task.
            task_weights: weight of a task's loss in the sum (1 where not given).
            pixel_mask: `(batch, height, width)`, 1 on the images and 0 on padding to the right and below; without it
                all of `pixel_values` is image. Padding makes no negatives, and nothing is found centred in it.
            generator: of the random samples; by default torch's own.
            output_hidden_states, output_attentions: also return those of the backbone (default: what the
                configuration says).
            image_sizes: height and width of every image, numbers on the host, in place of `pixel_mask`: nothing then
                waits for the device.

        Raises:
            ValueError: for a wrong shape, an empty batch, an unknown or missing task, or labels that do not fit.
        """
        check_pixel_values(pixel_values, getattr(self.backbone.config, "num_channels", pixel_values.shape[1]))
        batch_size = pixel_values.shape[0]
        if image_sizes is None:
            sizes = read_image_sizes(pixel_values, pixel_mask)
        else:
            sizes = check_image_sizes(image_sizes, pixel_values)
        groups = group_rows(self._task_index(task), batch_size, len(self.config.tasks))
        order = groups.order or tuple(range(batch_size))
        targets = None if labels is None else self._read_labels(labels, task, pixel_values)

        patch_size = getattr(self.backbone.config, "patch_size", 1)
        padded = pad_to_patches(groups.sort(pixel_values), math.lcm(COARSEST_STRIDE, patch_size))
        outputs = self.backbone(padded, **self._backbone_arguments(groups, output_hidden_states, output_attentions))
        check_strides(outputs.feature_maps, padded)

        parts: dict[str, dict[str, torch.Tensor]] = {}
        soft_parts: dict[str, dict[str, torch.Tensor]] = {}
        predictions: list[ImagePrediction | None] = [None] * batch_size
        for group in groups:
            rows = order[group.start : group.stop]
            levels, rpn_output, proposals = self._propose(outputs.feature_maps, group)
            if targets is not None:
                of_group = [targets[row] for row in rows]
                images = ImagesOfTask(levels, rpn_output, proposals, of_group, [sizes[row] for row in rows])
                name = list(self.config.tasks)[group.index]
                heads = self.rpn_heads[group.index], self.roi_heads[group.index]
                if (certain := images.chosen(soft=False)).targets:
                    parts[name] = losses_of_parts(*heads, certain, generator)
                if (uncertain := images.chosen(soft=True)).targets:
                    soft_parts[name] = soft_losses(*heads, uncertain, generator)
            if targets is None or not self.training:
                found = self._predict(group.index, levels, proposals, [sizes[row] for row in rows], padded.shape[2:])
                for row, prediction in zip(rows, found, strict=True):
                    predictions[row] = prediction

        task_losses = {name: sum(named.values()) for name, named in parts.items()}
        return S5ObjectDetectionOutput(
            loss=self._weighted_sum(task_losses, task_weights) if parts else None,
            **by_entry(predictions),
            image_sizes=torch.tensor(sizes),
            task_losses=task_losses or None,
            loss_parts=parts or None,
            soft_loss_parts=soft_parts or None,
            hidden_states=groups.restore_all(outputs.hidden_states),
            attentions=groups.restore_all(outputs.attentions),
        )

    def _append_heads(self, source: int, num_labels: int) -> None:
        self.necks.append(copy.deepcopy(self.necks[source]))
        self.rpn_heads.append(copy.deepcopy(self.rpn_heads[source]))
        roi_head = copy.deepcopy(self.roi_heads[source])
        roi_head.classifier = self._start_classifier(new_classifier(self.config, num_labels))
        roi_head.num_labels = num_labels
        self.roi_heads.append(roi_head)
        for head in (*self.rpn_heads, *self.roi_heads):
            head.config = self.config

    def _new_neck(self) -> FeaturePyramidNetwork:
        return FeaturePyramidNetwork(self.backbone.channels, self.config.fpn_channels, self.config.fpn_norm_groups)

    def _read_labels(
        self,
        labels: Sequence[Mapping[str, torch.Tensor]],
        task: str | Sequence[str] | None,
        pixel_values: torch.Tensor,
    ) -> list[ImageLabels]:
        """The labels of every image, checked also against the classes of its task."""
        targets = read_labels(labels, pixel_values.shape[0])
        names = [self._task_name(task)] * len(targets) if task is None or isinstance(task, str) else task
        for index, (target, name) in enumerate(zip(targets, names, strict=True)):
            check_classes(target, index, len(self.config.tasks[name]), name)
        return targets

    def _task_name(self, task: str | None) -> str:
        return list(self.config.tasks)[self._single_index(task)]

    def _propose(
        self, feature_maps: Sequence[torch.Tensor], group: TaskGroup
    ) -> tuple[list[torch.Tensor], RPNOutput, list[tuple[torch.Tensor, torch.Tensor]]]:
        """Levels, the RPN's answer and the proposals with scores of the images of one task."""
        levels = self.necks[group.index]([level[group.start : group.stop] for level in feature_maps])
        rpn_head = self.rpn_heads[group.index]
        rpn_output = rpn_head(levels)
        return levels, rpn_output, rpn_head.propose(rpn_output)

    def _predict(
        self,
        index: int,
        levels: Sequence[torch.Tensor],
        proposals: Sequence[tuple[torch.Tensor, torch.Tensor]],
        sizes: Sequence[tuple[int, int]],
        padded_size: Sequence[int],
    ) -> list[ImagePrediction]:
        """The predictions for the images of one task, one image after the other to bound the memory."""
        roi_head, predictions = self.roi_heads[index], []
        for number, ((boxes, scores), size) in enumerate(zip(proposals, sizes, strict=True)):
            refined, own = boxes, [level[number : number + 1] for level in levels]
            passes = []
            for _ in range(self.config.roi_passes):
                logits, deltas = roi_head(own, [refined])
                refined = roi_head.decode(refined, deltas)
                passes.append(logits)
            logits = mean_scores(passes)
            kept = ~centred_in_padding(refined, size, padded_size)
            predictions.append(ImagePrediction(logits[kept], refined[kept], boxes[kept], scores[kept]))
        return predictions


def losses_of_parts(
    rpn_head: OrientedRPN, roi_head: OrientedRoIHead, images: ImagesOfTask, generator: torch.Generator | None
) -> dict[str, torch.Tensor]:
    """The four parts of the loss of one task."""
    anchor_samples = [
        rpn_head.sample_anchors(images.rpn_output.anchors, target.boxes, size, generator, images.rpn_output.bands)
        for target, size in zip(images.targets, images.sizes, strict=True)
    ]
    proposal_samples = [
        roi_head.sample_proposals(
            boxes, on_device(target.boxes, boxes.device), on_device(target.classes, boxes.device), generator
        )
        for (boxes, _), target in zip(images.proposals, images.targets, strict=True)
    ]
    logits, deltas = roi_head(images.levels, [image.proposals for image in proposal_samples])
    return {
        **rpn_head.loss(images.rpn_output, anchor_samples),
        **roi_head.loss(logits, deltas, proposal_samples),
    }


def mean_scores(passes: Sequence[torch.Tensor]) -> torch.Tensor:
    """Logits `(..., classes + 1)` whose softmax is the mean of that of several, as Cascade R-CNN scores its boxes.

    Those of one pass stay as they are. (arXiv 1712.00726, section 6.1.)
    """
    if len(passes) == 1:
        return passes[0]
    return torch.stack([logits.log_softmax(dim=-1) for logits in passes]).logsumexp(dim=0) - math.log(len(passes))


def by_entry(predictions: Sequence[ImagePrediction | None]) -> dict[str, list[torch.Tensor] | None]:
    """The entries of the output from the predictions per image; None where nothing was predicted."""
    entries = ("logits", "pred_boxes", "proposals", "proposal_scores")
    if any(prediction is None for prediction in predictions):
        return dict.fromkeys(entries)
    return {entry: [getattr(prediction, entry) for prediction in predictions] for entry in entries}


__all__ = ["S5ForOrientedObjectDetection", "S5ObjectDetectionOutput"]
