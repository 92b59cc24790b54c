"""The dense detector written so that one traced graph serves every image size, with shapes that depend on it alone.

Inside the model, how many proposals there are, which level each is pooled from and which objects remain depends on the
pixels, and so do the shapes of tensors. Here every image has the same number of proposals and of candidates; masks say
which of them exist, and those that do not are at the end. The numbers are those of the model.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.export import Dim
from torch.nn import functional

from ..modeling import S5DetectionConfig, S5ForOrientedObjectDetection
from ..modeling.anchors import STRIDES
from ..modeling.modeling_s5_detection import COARSEST_STRIDE, mean_scores
from ..modeling.oriented_boxes import oriented_boxes_to_horizontal
from ..modeling.oriented_roi_head import POOLED_STRIDES, OrientedRoIHead
from ..modeling.oriented_rpn import OrientedRPN, RPNOutput
from ..modeling.rotated_iou import MINIMUM_SIDE, iou_matrices
from ..modeling.rotated_roi_align import bilinear_bags
from .graph import ExportGraph, free_images
from .greedy_choice import keep_greedily
from .metadata import NOTHING
from .size_free_graph import require_dense, with_free_grid

__all__ = ["BoxGraph", "ObjectGraph"]


class BoxGraph(ExportGraph):
    """Normalised images of one task to boxes before non-maximum suppression.

    Args:
        dense: a detector with one task and no experts (see `merge_experts`). It is copied.

    Attributes:
        cell: sides of images must be multiples of this.
        proposals: boxes per image.

    Raises:
        ValueError: if the model has several tasks, experts, or a backbone that is not an S5 ViT.
    """

    outputs: ClassVar = {"logits": ("batch", None, None), "boxes": ("batch", None, None), "exists": ("batch", None)}

    def __init__(self, dense: S5ForOrientedObjectDetection) -> None:
        super().__init__()
        require_dense(dense)
        self.model = with_free_grid(dense)
        self.cell = math.lcm(COARSEST_STRIDE, dense.backbone.config.patch_size)
        self.proposals = min(dense.config.max_proposals, dense.config.proposals_per_level * len(STRIDES))

    def example(self) -> tuple[dict[str, Tensor], dict[str, dict[int, Dim] | None]]:
        """See `ExportGraph`; no two sizes of the example agree by chance."""
        sides = 5 * self.cell, 7 * self.cell
        images, free = torch.zeros(2, self.model.backbone.config.num_channels, *sides), free_images(self.cell)
        inputs = {"pixel_values": images, "image_sizes": torch.tensor([sides, sides]) - 3}
        return inputs, {"pixel_values": free, "image_sizes": {0: free[0]}}

    def forward(self, pixel_values: Tensor, image_sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network says of every proposal.

        Args:
            pixel_values: `(batch, channels, height, width)`, normalised, height and width multiples of `cell`.
            image_sizes: int64 `(batch, 2)`, height and width of each image, in the upper left corner, without its
                padding.

        Returns:
            `logits` `(batch, proposals, classes + 1)`, background last, `boxes` `(batch, proposals, 5)` in pixels and
            radians, and bool `exists` `(batch, proposals)`.
        """
        levels = self.model.necks[0](self.model.backbone(pixel_values).feature_maps)
        rpn_output = self.model.rpn_heads[0](levels)
        proposals, exists = propose(self.model.rpn_heads[0], rpn_output, self.proposals)
        roi_head = self.model.roi_heads[0]
        boxes, passes = proposals, []
        for _ in range(self.model.config.roi_passes):
            # Of NaN no pixel can be looked up; it still reaches the caller, in the boxes.
            logits, deltas = classify(roi_head, levels, torch.where(boxes.isfinite(), boxes, 0))
            boxes = roi_head.decode(boxes.flatten(0, 1), deltas.flatten(0, 1)).unflatten(0, boxes.shape[:2])
            passes.append(logits)
        return mean_scores(passes), boxes, exists & ~in_padding(boxes, image_sizes, pixel_values)


class ObjectGraph(BoxGraph):
    """Normalised images of one task to objects.

    Args:
        dense: as `BoxGraph`.
        candidates: pairs of a box and a class that take part in the non-maximum suppression, the best-scored ones.
            Time and memory grow with the square of their number.

    Raises:
        ValueError: as `BoxGraph`.
    """

    outputs: ClassVar = {
        "boxes": ("batch", None, None),
        "scores": ("batch", None),
        "labels": ("batch", None),
        "candidates": ("batch",),
    }

    def __init__(self, dense: S5ForOrientedObjectDetection, candidates: int) -> None:
        super().__init__(dense)
        self.candidates = min(candidates, self.proposals * self.model.roi_heads[0].num_labels)

    def example(self) -> tuple[dict[str, Tensor], dict[str, dict[int, Dim] | None]]:
        """See `ExportGraph`."""
        inputs, free = super().example()
        thresholds = {"score_threshold": torch.tensor(0.05), "iou_threshold": torch.tensor(0.1)}
        return inputs | thresholds, free | dict.fromkeys(thresholds)

    def forward(
        self, pixel_values: Tensor, image_sizes: Tensor, score_threshold: Tensor, iou_threshold: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The objects in images; as `find_objects` finds them.

        Args:
            pixel_values, image_sizes: as `BoxGraph`.
            score_threshold, iou_threshold: float32 `()`, as `find_objects`.

        Returns:
            `boxes` `(batch, candidates, 5)`, `scores` and int64 `labels` `(batch, candidates)`, best first; the score
            is `NOTHING` where there are no more. And int64 `candidates` `(batch,)`: how many pairs of a box and a
            class were above the threshold, -1 where the network gave NaN or infinity.
        """
        logits, boxes, exists = super().forward(pixel_values, image_sizes)
        finite = logits.isfinite().flatten(1).all(1) & boxes.isfinite().flatten(1).all(1)
        scores = logits.softmax(dim=2)[..., :-1]
        above = (scores > score_threshold) & exists[..., None]
        counts = torch.where(finite, above.flatten(1).sum(dim=1), -1)
        wide = (boxes[..., 2:4] >= MINIMUM_SIDE).all(dim=2)
        scores = torch.where(above & wide[..., None], scores, NOTHING)
        scores, chosen = scores.flatten(1).topk(self.candidates, dim=1)
        classes = logits.shape[2] - 1
        rows, labels = chosen // classes, chosen % classes
        boxes = boxes.gather(1, rows[..., None].expand(-1, -1, 5))
        conflicts = (iou_matrices(boxes) > iou_threshold) & (labels[:, :, None] == labels[:, None])
        kept = keep_greedily(conflicts, scores > NOTHING)
        scores, order = torch.where(kept, scores, NOTHING).topk(self.candidates, dim=1)
        return boxes.gather(1, order[..., None].expand(-1, -1, 5)), scores, labels.gather(1, order), counts


def propose(rpn_head: OrientedRPN, output: RPNOutput, count: int) -> tuple[Tensor, Tensor]:
    """The proposals `(batch, count, 5)` of `OrientedRPN.propose`, best first, and which of them exist."""
    config, scores = rpn_head.config, output.logits.sigmoid()
    per_level, best, chosen, start = config.proposals_per_level, [], [], 0
    for size in output.level_sizes:
        # Small images have fewer anchors than proposals: what is added exists only by its place.
        of_level = functional.pad(scores[:, start : start + size], (0, per_level), value=NOTHING)
        values, index = of_level.topk(per_level, dim=1)
        best.append(values)
        chosen.append(index.clamp(max=size - 1) + start)
        start = start + size
    best, chosen = torch.cat(best, dim=1), torch.cat(chosen, dim=1)
    deltas = output.deltas.gather(1, chosen[..., None].expand(-1, -1, 6)).flatten(0, 1)
    boxes = rpn_head.decode(output.anchors[chosen].flatten(0, 1), deltas)
    # Levels are as separate as images.
    hulls = oriented_boxes_to_horizontal(boxes).view(-1, per_level, 4)
    conflicts = hull_iou_matrices(hulls) > config.proposal_nms_iou
    kept = keep_greedily(conflicts, best.view(-1, per_level) > NOTHING).view_as(best)
    best, index = torch.where(kept, best, NOTHING).topk(count, dim=1)
    return boxes.view(*chosen.shape, 5).gather(1, index[..., None].expand(-1, -1, 5)), best > NOTHING


def classify(roi_head: OrientedRoIHead, levels: list[Tensor], proposals: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `(batch, n, classes + 1)` and deltas `(batch, n, 5)` of proposals `(batch, n, 5)`."""
    config = roi_head.config
    batch = torch.arange(proposals.shape[0], device=proposals.device)[:, None, None].expand(-1, proposals.shape[1], 1)
    growth = proposals.new_tensor([1, 1, config.roi_width_factor, config.roi_height_factor, 1])
    rois = torch.cat([batch.to(proposals), proposals * growth], dim=2).flatten(0, 1)
    pooled = pool_levels(levels[: len(POOLED_STRIDES)], rois, roi_head.level_of(rois), config)
    hidden = functional.relu(roi_head.hidden_first(pooled))
    hidden = functional.relu(roi_head.hidden_second(hidden))
    shape = proposals.shape[:2]
    return roi_head.classifier(hidden).unflatten(0, shape), roi_head.regressor(hidden).unflatten(0, shape)


def pool_levels(levels: list[Tensor], rois: Tensor, level_of: Tensor, config: S5DetectionConfig) -> Tensor:
    """Features `(n, channels * bins)` of RoIs `(n, 6)`, each from the level of its number `(n,)`.

    The pixels of all levels are the rows of one table. Each sample of a bin is one look-up for all bins at once.
    """
    table = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels])
    batch = levels[0].shape[0]
    height, width, before = torch.zeros_like(level_of), torch.zeros_like(level_of), torch.zeros_like(level_of)
    first = 0
    for number, level in enumerate(levels):
        here = level_of == number
        height = torch.where(here, level.shape[2], height)
        width = torch.where(here, level.shape[3], width)
        before = torch.where(here, first, before)
        first = first + batch * level.shape[2] * level.shape[3]
    scale = 1 / rois.new_tensor(POOLED_STRIDES)[level_of]
    rows, weights = bilinear_bags(
        rois,
        height[:, None, None],
        width[:, None, None],
        config.roi_size,
        scale[:, None, None],
        config.roi_sampling_ratio,
    )
    bins = config.roi_size**2
    rows = rows + before[:, None].expand(-1, bins).reshape(-1, 1)
    pooled = table[rows[:, 0]] * weights[:, :1]
    for sample in range(1, 4 * config.roi_sampling_ratio**2):
        pooled = pooled + table[rows[:, sample]] * weights[:, sample : sample + 1]
    return pooled.view(-1, bins, table.shape[1]).transpose(1, 2).flatten(1)


def hull_iou_matrices(hulls: Tensor) -> Tensor:
    """Intersection over union `(batch, n, n)` of horizontal boxes `(batch, n, 4)` with one another."""
    low = torch.maximum(hulls[:, :, None, :2], hulls[:, None, :, :2])
    high = torch.minimum(hulls[:, :, None, 2:], hulls[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=3)
    areas = (hulls[..., 2:] - hulls[..., :2]).prod(dim=2)
    whole = areas[:, :, None] + areas[:, None] - shared
    return shared / torch.where(whole > 0, whole, 1)


def in_padding(boxes: Tensor, image_sizes: Tensor, padded: Tensor) -> Tensor:
    """Which boxes `(batch, n, 5)` have their centre in the padding of their image; see `centred_in_padding`."""
    x, y = boxes[..., 0], boxes[..., 1]
    right = (x > image_sizes[:, 1:]) & (x <= padded.shape[3])
    below = (y > image_sizes[:, :1]) & (y <= padded.shape[2])
    return right | below
