"""Oriented region proposal network: where objects might be, as oriented boxes.

Source: Oriented R-CNN (Xie et al., arXiv 2108.05699), section 3.1, as the official release configures it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .anchors import STRIDES, AnchorBands, inside_image, level_anchors
from .box_coders import decode_midpoint_hulls, decode_midpoint_offsets, encode_midpoint_offsets
from .configuration_s5 import S5DetectionConfig
from .grouped_suppression import kept_in_groups
from .host_values import on_device
from .oriented_boxes import oriented_boxes_to_horizontal
from .target_assignment import IGNORED, Bands, assign_anchors, everywhere, sample

DECODERS = {"oriented": decode_midpoint_offsets, "horizontal": decode_midpoint_hulls}
LEARNED_OFFSETS = {"oriented": 6, "horizontal": 4}
"""By the configuration's `proposal_form`: how proposals are decoded, and how many of the offsets they are made of."""


@dataclass(frozen=True)
class RPNOutput:
    """What the network says of every anchor of a batch.

    Args:
        logits: float32 `(batch, anchors)`, object or not.
        deltas: float32 `(batch, anchors, 6)`, midpoint offsets.
        anchors: `(anchors, 4)`.
        level_sizes: anchors per level, in the order of the others.
        bands: which anchors may reach between two heights.
    """

    logits: torch.Tensor
    deltas: torch.Tensor
    anchors: torch.Tensor
    level_sizes: tuple[int, ...]
    bands: Bands = everywhere


@dataclass(frozen=True)
class AnchorSample:
    """The anchors of one image that take part in the loss.

    Args:
        positives, negatives: their indices.
        targets: `(positives, 6)`, midpoint offsets.
    """

    positives: torch.Tensor
    negatives: torch.Tensor
    targets: torch.Tensor


class OrientedRPN(nn.Module):
    """One small head for all levels: 3x3 convolution, ReLU, and two 1x1 convolutions (anchor-major channels)."""

    def __init__(self, config: S5DetectionConfig) -> None:
        super().__init__()
        self.config = config
        channels, num_anchors = config.fpn_channels, len(config.anchor_ratios)
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.classifier = nn.Conv2d(channels, num_anchors, kernel_size=1)
        self.regressor = nn.Conv2d(channels, 6 * num_anchors, kernel_size=1)
        for layer in (self.conv, self.classifier, self.regressor):
            layer.initial_std = 0.01 * config.head_initial_factor

    def forward(self, levels: Sequence[torch.Tensor]) -> RPNOutput:
        """Levels `(batch, channels, rows, columns)` of strides 4 to 64 to logits and deltas of all anchors."""
        logits, deltas, anchors = [], [], []
        for level, stride in zip(levels, STRIDES, strict=True):
            hidden = functional.relu(self.conv(level))
            logits.append(anchors_last(self.classifier(hidden), 1).squeeze(-1))
            deltas.append(anchors_last(self.regressor(hidden), 6))
            size = (level.shape[2], level.shape[3])
            anchors.append(
                level_anchors(size, stride, self.config.anchor_scale, self.config.anchor_ratios, level.device)
            )
        level_sizes = tuple(level.shape[0] for level in anchors)  # not len(), which an exporter would freeze
        shapes = tuple((level.shape[2], level.shape[3]) for level in levels)
        bands = AnchorBands(shapes, self.config.anchor_scale, tuple(self.config.anchor_ratios))
        return RPNOutput(torch.cat(logits, dim=1), torch.cat(deltas, dim=1), torch.cat(anchors), level_sizes, bands)

    @torch.no_grad()
    def propose(self, output: RPNOutput) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Per image, oriented proposals `(n, 5)` and their scores `(n,)`, best first, without gradient.

        Of every level the best anchors are decoded; where horizontal hulls of a level overlap too much, the better
        one stays. Proposals may reach beyond the image.
        """
        best, scores = self._best_anchors(output)
        boxes = torch.stack(
            [
                self.decode(output.anchors[chosen], deltas[chosen])
                for chosen, deltas in zip(best, output.deltas.detach(), strict=True)
            ]
        )
        hulls = torch.stack([oriented_boxes_to_horizontal(of_image) for of_image in boxes])
        kept = kept_in_groups(hulls, self._best_per_level(output), self.config.proposal_nms_iou)
        order = torch.where(kept, scores, -1).argsort(dim=1, descending=True, stable=True)
        finite = hulls.isfinite().all() & scores.isfinite().all()
        *counts, all_finite = torch.cat([kept.sum(dim=1), finite[None]]).tolist()  # one answer for all
        if not all_finite:
            raise ValueError("the region proposal network gives proposals that are NaN or infinite")
        chosen = [row[: min(count, self.config.max_proposals)] for row, count in zip(order, counts, strict=True)]
        return [(boxes[image][rows], scores[image][rows]) for image, rows in enumerate(chosen)]

    def _best_per_level(self, output: RPNOutput) -> list[int]:
        return [min(size, self.config.proposals_per_level) for size in output.level_sizes]

    def _best_anchors(self, output: RPNOutput) -> tuple[torch.Tensor, torch.Tensor]:
        """Numbers of the best anchors of every level and their scores, `(batch, n)` both, best first in a level."""
        scores, best = output.logits.detach().sigmoid(), []
        starts = itertools.accumulate(output.level_sizes, initial=0)
        for start, size, count in zip(starts, output.level_sizes, self._best_per_level(output), strict=False):
            best.append(scores[:, start : start + size].topk(count, dim=1).indices + start)
        best = torch.cat(best, dim=1)
        return best, scores.gather(1, best)

    def decode(self, anchors: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
        """Proposals `(n, 5)` of anchors `(n, 4)` and deltas `(n, 6)`, of the form that the configuration names."""
        decode = DECODERS[self.config.proposal_form]
        return decode(anchors, deltas, self.config.rpn_delta_stds)

    @torch.no_grad()
    def sample_anchors(
        self,
        anchors: torch.Tensor,
        boxes: torch.Tensor,
        image_size: tuple[int, int],
        generator: torch.Generator | None = None,
        bands: Bands = everywhere,
    ) -> AnchorSample:
        """Assign the anchors wholly inside an image `(height, width)` to its boxes `(n, 5)`, and draw a sample.

        The boxes may be on the host, and `bands` tell which anchors may reach between two heights: with both the
        device is asked once only.
        """
        inside = inside_image(anchors, image_size)
        assigned = assign_anchors(
            torch.where(inside[:, None], anchors, 0),  # what is not inside overlaps with nothing
            oriented_boxes_to_horizontal(boxes),
            self.config.rpn_positive_iou,
            self.config.rpn_negative_iou,
            self.config.rpn_minimum_positive_iou,
            bands,
        )
        assigned = torch.where(inside, assigned, IGNORED)
        positives, negatives = sample(assigned, self.config.rpn_samples, self.config.rpn_positive_fraction, generator)
        wanted = on_device(boxes, anchors.device)[assigned[positives]]
        targets = encode_midpoint_offsets(anchors[positives], wanted, self.config.rpn_delta_stds)
        return AnchorSample(positives, negatives, targets)

    def loss(self, output: RPNOutput, samples: Sequence[AnchorSample]) -> dict[str, torch.Tensor]:
        """`rpn_cls` (binary cross-entropy) and `rpn_bbox` (smooth L1), sums over the number of sampled anchors.

        The latter times `rpn_regression_weight`. An image without positives (or negatives) counts as if it had one,
        as officially.
        """
        count = sum(max(len(image.positives), 1) + max(len(image.negatives), 1) for image in samples)
        classification, regression = output.logits.new_zeros(()), output.logits.new_zeros(())
        learned = LEARNED_OFFSETS[self.config.proposal_form]
        for logits, deltas, image in zip(output.logits, output.deltas, samples, strict=True):
            # softplus(-x) and softplus(x) are the binary cross-entropies of the labels 1 and 0.
            classification = classification + functional.softplus(-logits[image.positives]).sum()
            classification = classification + functional.softplus(logits[image.negatives]).sum()
            regression = regression + functional.smooth_l1_loss(
                deltas[image.positives, :learned],
                image.targets[:, :learned],
                reduction="sum",
                beta=self.config.rpn_smooth_l1_beta,
            )
        weight = self.config.rpn_regression_weight
        return {"rpn_cls": classification / count, "rpn_bbox": weight * regression / count}


def anchors_last(feature_map: torch.Tensor, values: int) -> torch.Tensor:
    """A map `(batch, anchors * values, rows, columns)` as float32 `(batch, rows * columns * anchors, values)`."""
    return feature_map.permute(0, 2, 3, 1).reshape(feature_map.shape[0], -1, values).float()
