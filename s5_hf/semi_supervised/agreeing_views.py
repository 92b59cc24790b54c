"""Semi-supervised oriented detection by agreement of rotated views: a method of this package, beyond the paper.

After the idea of SOOD (arXiv 2304.04515) to weight every pseudo-box by orientations, in our reading: what two views
of an image, one of them turned, agree on is likely true, so a box counts by its score times the rotated IoU of the
two. SOOD compares teacher and student in place of two views of the teacher, weights up where their orientations
differ, and has a loss for the layout of the whole image and a detector without proposals; none of that is here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..modeling.detection_post_processing import find_objects
from .detection_method import DetectionMethod, LabelledObjects, UnlabelledObjects, register_detection_method
from .method import MethodOutput
from .teacher import ramped
from .view_agreement import PseudoBoxes, agreeing_boxes, turned_images
from .weight_average import WeightAverage

SUPPRESSION_IOU, MOST_OBJECTS = 0.1, 300
"""As the detector is tested, with fewer objects an image."""


@register_detection_method("agreeing_views")
@dataclass
class AgreeingViews(DetectionMethod):
    """L = Ls + weight * Lu: the average of the weights finds the boxes that the student learns from changed colours.

    Args:
        confidence_threshold: mean score of both views from which on an object becomes a pseudo-box.
        agreement_threshold: rotated IoU of the two boxes from which on it does.
        ignore_threshold: boxes of either view with a better score that become none are neither objects nor background.
        unlabelled_from_step: unlabelled images come from this step on.
        unlabelled_weight: of Lu.
        unlabelled_ramp_steps: steps from there on in which that weight grows from 0.
        teacher_decay: of the average; at first it is the plain mean, which forgets the new weights.

    Raises:
        ValueError: if a number is out of range, or the thresholds are in the wrong order.
    """

    confidence_threshold: float = 0.7
    agreement_threshold: float = 0.5
    ignore_threshold: float = 0.2
    unlabelled_from_step: int = 0
    unlabelled_weight: float = 1.0
    unlabelled_ramp_steps: int = 0
    teacher_decay: float = 0.996
    averaged: WeightAverage | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("confidence_threshold", "agreement_threshold", "ignore_threshold", "teacher_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if self.ignore_threshold > self.confidence_threshold:
            raise ValueError(
                f"ignore_threshold must not be above confidence_threshold, got {self.ignore_threshold} and "
                f"{self.confidence_threshold}: between the two an object is uncertain"
            )
        for name in ("unlabelled_from_step", "unlabelled_ramp_steps", "unlabelled_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @property
    def teacher_model(self) -> nn.Module | None:
        """The network with averaged weights."""
        return None if self.averaged is None else self.averaged.model

    def attach(self, model: nn.Module) -> None:
        """Copy the network for the teacher."""
        self.averaged = WeightAverage(model)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let the teacher follow."""
        self.averaged.update(model, min(self.teacher_decay, 1 - 1 / (step + 1)))

    def state_dict(self) -> dict[str, Any]:
        """The weights of the teacher."""
        return {"teacher": self.averaged.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore them."""
        self.averaged.load_state_dict(state["teacher"])

    def weight_at(self, step: int) -> float:
        """Weight of the unlabelled loss at a step counted from 0."""
        return self.unlabelled_weight * ramped(step - self.unlabelled_from_step, self.unlabelled_ramp_steps)

    def __call__(
        self,
        model: nn.Module,
        labelled: LabelledObjects,
        unlabelled: UnlabelledObjects,
        step: int,
        task_weights: Mapping[str, float],
    ) -> MethodOutput:
        pseudo, highest = self.label(unlabelled)
        output = model(
            torch.cat([labelled.pixel_values, unlabelled.strong]),
            labels=[*labelled.labels, *(image.targets() for image in pseudo)],
            task=[*labelled.tasks, *unlabelled.tasks],
            task_weights=dict(task_weights),
            image_sizes=[*labelled.image_sizes, *unlabelled.image_sizes],
        )
        loss_unsupervised = sum(
            task_weights.get(task, 1.0) * sum(parts.values()) for task, parts in output.soft_loss_parts.items()
        )
        return MethodOutput(
            output.loss + self.weight_at(step) * loss_unsupervised,
            {
                **{f"loss/{task}": loss.detach() for task, loss in output.task_losses.items()},
                "loss_supervised": output.loss.detach(),
                "loss_unsupervised": loss_unsupervised.detach(),
                "highest_score": highest,
                **of_images(pseudo),
            },
            self.class_counts(unlabelled.tasks, pseudo),
        )

    @torch.no_grad()
    def label(self, unlabelled: UnlabelledObjects) -> tuple[list[PseudoBoxes], torch.Tensor]:
        """What both views of the teacher say of every image, and the highest score that it gave in one view.

        Raises:
            RuntimeError: if there is no teacher yet.
        """
        if self.averaged is None:
            raise RuntimeError(f"{self.name} has no teacher yet: call attach(model) before the first step")
        views = torch.cat([unlabelled.weak, turned_images(unlabelled.weak)])
        turned_sizes = [[width, height] for height, width in unlabelled.image_sizes]
        output = self.averaged.model(
            views, task=[*unlabelled.tasks] * 2, image_sizes=[*unlabelled.image_sizes, *turned_sizes]
        )
        found = [
            find_objects(logits, boxes, self.ignore_threshold, SUPPRESSION_IOU, MOST_OBJECTS)
            for logits, boxes in zip(output.logits, output.pred_boxes, strict=True)
        ]
        count = len(unlabelled.tasks)
        pseudo = [
            agreeing_boxes(one, turned, self.confidence_threshold, self.agreement_threshold)
            for one, turned in zip(found[:count], found[count:], strict=True)
        ]
        scores = torch.cat([views.new_zeros(1), *(one["scores"] for one in found)])
        return pseudo, scores.max()

    def class_counts(self, tasks: Sequence[str], pseudo: Sequence[PseudoBoxes]) -> torch.Tensor:
        """Pseudo-boxes of each class, float `(classes of all tasks,)`, in the order of the tasks of the model."""
        known = self.averaged.model.config.tasks
        counts = {name: pseudo[0].scores.new_zeros(len(labels)) for name, labels in known.items()}
        for task, image in zip(tasks, pseudo, strict=True):
            counts[task] += torch.bincount(image.labels, minlength=len(counts[task]))
        return torch.cat(list(counts.values()))


def of_images(pseudo: Sequence[PseudoBoxes]) -> dict[str, torch.Tensor]:
    """What is worth watching, per image: how many boxes there are, and the sums of their scores and agreements."""
    scores, agreement, uncertain = (
        [getattr(image, name) for image in pseudo] for name in ("scores", "agreement", "uncertain")
    )
    count = scores[0].new_tensor(float(len(pseudo)))
    return {
        "pseudo_boxes": sum(map(len, scores)) / count,
        "pseudo_score_sum": torch.cat(scores).sum() / count,
        "pseudo_agreement_sum": torch.cat(agreement).sum() / count,
        "uncertain_boxes": sum(map(len, uncertain)) / count,
    }
