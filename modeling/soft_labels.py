"""What the detector learns from objects that are uncertain: pseudo-boxes that count in part, and places left out.

No part of the paper. Of a pseudo-box everything counts by its weight; the background counts fully, except where it
would be no background if an uncertain box were an object: nobody knows what is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from .box_coders import decode_midpoint_offsets
from .detection_labels import ImageLabels
from .oriented_boxes import oriented_boxes_to_horizontal
from .oriented_roi_head import ASSIGNMENTS, OrientedRoIHead, ProposalSample
from .oriented_rpn import LEARNED_OFFSETS, AnchorSample, OrientedRPN, RPNOutput
from .target_assignment import NEGATIVE, assign_anchors


@dataclass(frozen=True)
class ImagesOfTask:
    """The images of one task in a batch, in the same order everywhere.

    Args:
        levels: maps `(images, channels, rows, columns)`, finest first.
        rpn_output: what the proposal network says of them.
        proposals: boxes `(n, 5)` and scores `(n,)` of each.
        targets: the objects of each.
        sizes: height and width of each without padding.
    """

    levels: Sequence[torch.Tensor]
    rpn_output: RPNOutput
    proposals: Sequence[tuple[torch.Tensor, torch.Tensor]]
    targets: Sequence[ImageLabels]
    sizes: Sequence[tuple[int, int]]

    def chosen(self, soft: bool) -> "ImagesOfTask":
        """The images whose objects are uncertain, or those whose objects are not."""
        rows = [row for row, target in enumerate(self.targets) if target.soft == soft]
        if len(rows) == len(self.targets):
            return self
        output = self.rpn_output
        return ImagesOfTask(
            [level[rows] for level in self.levels],
            replace(output, logits=output.logits[rows], deltas=output.deltas[rows]),
            [self.proposals[row] for row in rows],
            [self.targets[row] for row in rows],
            [self.sizes[row] for row in rows],
        )


def soft_losses(
    rpn_head: OrientedRPN, roi_head: OrientedRoIHead, images: ImagesOfTask, generator: torch.Generator | None = None
) -> dict[str, torch.Tensor]:
    """The four parts of the loss of one task on images whose objects are uncertain.

    As those of the two heads, with the losses of each object's anchors and proposals times the weight of the object.
    """
    targets = [target.on(images.rpn_output.anchors.device) for target in images.targets]
    anchors = [
        soft_anchors(rpn_head, images.rpn_output.anchors, target, size, generator)
        for target, size in zip(targets, images.sizes, strict=True)
    ]
    proposals = [
        soft_proposals(roi_head, boxes, target, generator)
        for (boxes, _), target in zip(images.proposals, targets, strict=True)
    ]
    logits, deltas = roi_head(images.levels, [sample.proposals for sample, _ in proposals])
    return {
        **soft_proposal_loss(rpn_head, images.rpn_output, anchors),
        **soft_refinement_loss(roi_head, logits, deltas, proposals),
    }


def soft_anchors(
    head: OrientedRPN,
    anchors: torch.Tensor,
    target: ImageLabels,
    size: tuple[int, int],
    generator: torch.Generator | None,
) -> tuple[AnchorSample, torch.Tensor]:
    """A sample of the anchors of one image, no negatives near uncertain boxes, and the weights of its positives."""
    drawn, config = head.sample_anchors(anchors, target.boxes, size, generator), head.config
    near = assign_anchors(
        anchors[drawn.negatives],
        oriented_boxes_to_horizontal(target.uncertain),
        config.rpn_positive_iou,
        config.rpn_negative_iou,
        config.rpn_minimum_positive_iou,
    )
    sample = replace(drawn, negatives=drawn.negatives[near == NEGATIVE])
    if not len(drawn.positives):
        return sample, target.weights[:0]
    # An anchor's target is the box that it learns, and with that the hull of that box.
    learned = decode_midpoint_offsets(anchors[drawn.positives], drawn.targets, config.rpn_delta_stds)
    hulls = (oriented_boxes_to_horizontal(boxes) for boxes in (learned, target.boxes))
    return sample, target.weights[torch.cdist(*hulls).argmin(dim=1)]


def soft_proposals(
    head: OrientedRoIHead, proposals: torch.Tensor, target: ImageLabels, generator: torch.Generator | None
) -> tuple[ProposalSample, torch.Tensor]:
    """A sample of the proposals of one image without background near uncertain boxes, and the weights of all."""
    numbers = torch.arange(len(target.boxes), device=proposals.device)
    drawn = head.sample_proposals(proposals, target.boxes, numbers, generator)
    count = len(drawn.targets)
    box, background = drawn.labels[:count], drawn.proposals[count:]
    assign = ASSIGNMENTS[head.config.proposal_form]
    far = assign(background, target.uncertain, head.config.roi_positive_iou) == NEGATIVE
    sample = ProposalSample(
        proposals=torch.cat([drawn.proposals[:count], background[far]]),
        labels=torch.cat([target.classes[box], drawn.labels[count:][far]]),
        targets=drawn.targets,
    )
    return sample, torch.cat([target.weights[box], torch.ones_like(background[far, 0])])


def soft_proposal_loss(
    head: OrientedRPN, output: RPNOutput, samples: Sequence[tuple[AnchorSample, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """`rpn_cls` and `rpn_bbox` as those of the head, with a weight for each positive anchor."""
    count = sum(max(len(image.positives), 1) + max(len(image.negatives), 1) for image, _ in samples)
    classification, regression = output.logits.new_zeros(()), output.logits.new_zeros(())
    learned = LEARNED_OFFSETS[head.config.proposal_form]
    for logits, deltas, (image, weights) in zip(output.logits, output.deltas, samples, strict=True):
        missed = functional.softplus(-logits[image.positives]) * weights
        classification = classification + missed.sum() + functional.softplus(logits[image.negatives]).sum()
        errors = functional.smooth_l1_loss(
            deltas[image.positives, :learned],
            image.targets[:, :learned],
            reduction="none",
            beta=head.config.rpn_smooth_l1_beta,
        )
        regression = regression + (errors.sum(dim=1) * weights).sum()
    return {"rpn_cls": classification / count, "rpn_bbox": head.config.rpn_regression_weight * regression / count}


def soft_refinement_loss(
    head: OrientedRoIHead,
    logits: torch.Tensor,
    deltas: torch.Tensor,
    samples: Sequence[tuple[ProposalSample, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """`cls` and `bbox` as those of the head, with a weight for each proposal."""
    labels, weights = (
        torch.cat(column) for column in zip(*((image.labels, own) for image, own in samples), strict=True)
    )
    positive, count = labels < head.num_labels, max(len(labels), 1)
    classification = (functional.cross_entropy(logits, labels, reduction="none") * weights).sum()
    targets = torch.cat([image.targets for image, _ in samples])
    errors = functional.smooth_l1_loss(
        deltas[positive], targets, reduction="none", beta=head.config.roi_smooth_l1_beta
    )
    regression = (errors.sum(dim=1) * weights[positive]).sum()
    return {"cls": classification / count, "bbox": head.config.roi_regression_weight * regression / count}
