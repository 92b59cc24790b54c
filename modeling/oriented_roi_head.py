"""RoI head of the oriented detector: what a proposal holds, and where exactly.

Source: Oriented R-CNN (Xie et al., arXiv 2108.05699), section 3.2, as the official release configures it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .anchors import STRIDES
from .box_coders import decode_oriented_deltas, encode_oriented_deltas
from .configuration_s5 import S5DetectionConfig
from .host_values import constants_like
from .rotated_roi_align import roi_align_of_valid_rois
from .target_assignment import assign_by_hulls, assign_proposals, moved_copies, sample

# The levels that RoIs are pooled from: all except the coarsest.
POOLED_STRIDES = STRIDES[:4]

ASSIGNMENTS = {"oriented": assign_proposals, "horizontal": assign_by_hulls}
"""How proposals get their boxes, by the configuration's `proposal_form`."""


@dataclass(frozen=True)
class ProposalSample:
    """The proposals of one image that take part in the loss, positives first.

    Args:
        proposals: `(n, 5)`.
        labels: int64 `(n,)`, class ids; background is the number of classes.
        targets: `(positives, 5)`, deltas of the first proposals.
    """

    proposals: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor


class OrientedRoIHead(nn.Module):
    """Rotated RoIAlign, two hidden layers, a classifier (background last) and one regressor for all classes."""

    def __init__(self, config: S5DetectionConfig, num_labels: int) -> None:
        super().__init__()
        self.config = config
        self.num_labels = num_labels
        self.hidden_first = nn.Linear(config.fpn_channels * config.roi_size**2, config.roi_channels)
        self.hidden_second = nn.Linear(config.roi_channels, config.roi_channels)
        self.classifier = new_classifier(config, num_labels)
        self.regressor = nn.Linear(config.roi_channels, 5)
        self.regressor.initial_std = 0.001 * config.head_initial_factor

    def forward(
        self, levels: Sequence[torch.Tensor], proposals: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits `(n, labels + 1)` and deltas `(n, 5)`, float32, of all proposals of a batch.

        Args:
            levels: maps `(batch, channels, rows, columns)`, finest first.
            proposals: oriented boxes `(n_i, 5)` per image.
        """
        pooled = self.pool(levels, as_rois(proposals))
        hidden = functional.relu(self.hidden_first(pooled.flatten(start_dim=1)))
        hidden = functional.relu(self.hidden_second(hidden))
        return self.classifier(hidden).float(), self.regressor(hidden).float()

    def pool(self, levels: Sequence[torch.Tensor], rois: torch.Tensor) -> torch.Tensor:
        """Features `(n, channels, roi_size, roi_size)` of RoIs `(n, 6)`, each from the level that fits its size."""
        factors = [1, 1, 1, self.config.roi_width_factor, self.config.roi_height_factor, 1]
        grown = rois * constants_like(rois, factors)
        level_of, features = self.level_of(grown), []
        counts = torch.stack([(level_of == number).sum() for number in range(len(POOLED_STRIDES))])
        by_level = level_of.argsort(stable=True)
        chosen = by_level.split(counts.tolist())  # the only wait for the device
        for level, stride, of_level in zip(levels, POOLED_STRIDES, chosen, strict=False):
            if len(of_level):
                size, ratio = self.config.roi_size, self.config.roi_sampling_ratio
                features.append(roi_align_of_valid_rois(level, grown[of_level], size, 1 / stride, ratio))
        pooled = levels[0].new_zeros(len(rois), levels[0].shape[1], self.config.roi_size, self.config.roi_size)
        return pooled.index_copy(0, by_level, torch.cat(features)) if features else pooled

    def level_of(self, grown: torch.Tensor) -> torch.Tensor:
        """The number of the level `(n,)` that RoIs `(n, 6)`, already grown, are pooled from."""
        scale = (grown[:, 3] * grown[:, 4]).sqrt()
        level = (scale / self.config.finest_scale + 1e-6).log2().floor()
        return level.clamp(0, len(POOLED_STRIDES) - 1).long()

    @torch.no_grad()
    def sample_proposals(
        self,
        proposals: torch.Tensor,
        boxes: torch.Tensor,
        labels: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> ProposalSample:
        """Assign proposals `(n, 5)` to the boxes `(m, 5)` of their image and draw a sample.

        The boxes themselves are candidates too, so the head has positives from the first step on, and so are moved
        copies of them where the configuration has such.
        """
        assigned = ASSIGNMENTS[self.config.proposal_form](proposals, boxes, self.config.roi_positive_iou)
        if self.config.roi_moved_copies:
            settings = self.config.roi_moved_copies, self.config.roi_copies_angle
            copies = moved_copies(boxes, *settings, generator)
            proposals = torch.cat([copies, proposals])
            of_copies = assign_proposals(copies, boxes, self.config.roi_positive_iou)
            assigned = torch.cat([of_copies, assigned])
        assigned = torch.cat([torch.arange(len(boxes), device=boxes.device), assigned])
        candidates = torch.cat([boxes, proposals])
        positives, negatives = sample(assigned, self.config.roi_samples, self.config.roi_positive_fraction, generator)
        background = torch.full((len(negatives),), self.num_labels, device=labels.device)
        targets = encode_oriented_deltas(candidates[positives], boxes[assigned[positives]], self.config.roi_delta_stds)
        return ProposalSample(
            proposals=torch.cat([candidates[positives], candidates[negatives]]),
            labels=torch.cat([labels[assigned[positives]], background]),
            targets=targets,
        )

    def loss(
        self, logits: torch.Tensor, deltas: torch.Tensor, samples: Sequence[ProposalSample]
    ) -> dict[str, torch.Tensor]:
        """`cls` (cross-entropy) and `bbox` (smooth L1 of the positives), both over the number of sampled proposals.

        The latter times `roi_regression_weight`.
        """
        labels = torch.cat([image.labels for image in samples])
        targets = torch.cat([image.targets for image in samples])
        count = max(len(labels), 1)
        classification = functional.cross_entropy(logits, labels, reduction="sum")
        of_images = deltas.split([len(image.labels) for image in samples])
        positives = torch.cat([rows[: len(image.targets)] for rows, image in zip(of_images, samples, strict=True)])
        regression = functional.smooth_l1_loss(
            positives, targets, reduction="sum", beta=self.config.roi_smooth_l1_beta
        )
        return {"cls": classification / count, "bbox": self.config.roi_regression_weight * regression / count}

    def decode(self, proposals: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
        """Boxes `(n, 5)` from proposals `(n, 5)` and deltas `(n, 5)`."""
        return decode_oriented_deltas(proposals, deltas, self.config.roi_delta_stds)


def new_classifier(config: S5DetectionConfig, num_labels: int) -> nn.Linear:
    """A classifier of `num_labels` classes and background; `initial_std` is for the initialisation."""
    classifier = nn.Linear(config.roi_channels, num_labels + 1)
    classifier.initial_std = 0.01 * config.head_initial_factor
    return classifier


def as_rois(proposals: Sequence[torch.Tensor]) -> torch.Tensor:
    """Proposals `(n_i, 5)` per image as RoIs `(n, 6)`: the number of the image, then the box."""
    numbered = [functional.pad(boxes, (1, 0), value=float(number)) for number, boxes in enumerate(proposals)]
    return torch.cat(numbered)
