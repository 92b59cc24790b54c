"""Which box an anchor or a proposal is to find: assignment by overlap, and a random sample of it for the loss.

Source: Oriented R-CNN (arXiv 2108.05699) with the rules of the official configuration (maximum IoU).
"""

import torch

from .oriented_boxes import oriented_boxes_to_horizontal
from .rotated_iou import rotated_iou

# Beside the number of a box, an anchor or a proposal is assigned one of these.
NEGATIVE = -1
IGNORED = -2

# Standard deviations of moved copies: of the centre in sides, and of the logarithms of the sides.
CENTRE_SPREAD, SIDE_SPREAD = 0.1, 0.2

# Boxes compared with the anchors at once. They are neighbours, so that most anchors are left aside: few boxes leave
# more of them aside, many boxes need fewer rounds.
BOXES_AT_ONCE = 16


def assign_anchors(
    anchors: torch.Tensor,
    hulls: torch.Tensor,
    positive_iou: float,
    negative_iou: float,
    minimum_positive_iou: float,
) -> torch.Tensor:
    """Assign horizontal anchors to the horizontal hulls of the boxes of an image.

    An anchor belongs to the hull it overlaps most, if by `positive_iou` or more; it is negative below `negative_iou`
    and ignored in between. In addition every hull gets the anchors that overlap it most of all (all of them where
    several do), if by `minimum_positive_iou` (more than 0) or more; of several such hulls the last one counts.

    Args:
        anchors: `(n, 4)`, left, top, right, bottom in pixels.
        hulls: `(m, 4)`, likewise.

    Returns:
        int64 `(n,)`: the number of a box, `NEGATIVE` or `IGNORED`.
    """
    if not len(hulls):
        return torch.full((len(anchors),), NEGATIVE, dtype=torch.int64, device=anchors.device)
    best = anchors.new_zeros(len(anchors))
    best_hull = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    claimed = torch.full_like(best_hull, NEGATIVE)
    for numbers in hulls[:, 1].argsort(stable=True).split(BOXES_AT_ONCE):
        numbers = numbers.sort().values  # so that of equal overlaps the first box is found first
        some = hulls[numbers]
        near = ((anchors[:, 3] > some[:, 1].min()) & (anchors[:, 1] < some[:, 3].max())).nonzero().flatten()
        if not len(near):
            continue
        iou = horizontal_iou(some, anchors[near])
        highest, row = iou.max(dim=0)
        hull = numbers[row]
        better = (highest > best[near]) | ((highest == best[near]) & (hull < best_hull[near]))
        best_hull[near] = torch.where(better, hull, best_hull[near])
        best[near] = torch.maximum(best[near], highest)

        highest = iou.amax(dim=1, keepdim=True)
        row, anchor = ((iou == highest) & (highest >= minimum_positive_iou)).nonzero(as_tuple=True)
        claimed.scatter_reduce_(0, near[anchor], numbers[row], reduce="amax")
    assigned = torch.full_like(best_hull, IGNORED)
    assigned[best < negative_iou] = NEGATIVE
    assigned = torch.where(best >= positive_iou, best_hull, assigned)
    return torch.where(claimed != NEGATIVE, claimed, assigned)


def assign_proposals(proposals: torch.Tensor, boxes: torch.Tensor, positive_iou: float) -> torch.Tensor:
    """Assign oriented proposals `(n, 5)` to the box `(m, 5)` of the largest rotated IoU, if `positive_iou` or more.

    Returns:
        int64 `(n,)`: the number of a box or `NEGATIVE`.
    """
    if not len(boxes) or not len(proposals):
        return torch.full((len(proposals),), NEGATIVE, dtype=torch.int64, device=proposals.device)
    best, box = rotated_iou(proposals, boxes).max(dim=1)
    return torch.where(best >= positive_iou, box, NEGATIVE)


def assign_by_hulls(proposals: torch.Tensor, boxes: torch.Tensor, positive_iou: float) -> torch.Tensor:
    """As `assign_proposals`, by the IoU of the horizontal hulls of both: for proposals that have no angle yet."""
    if not len(boxes) or not len(proposals):
        return torch.full((len(proposals),), NEGATIVE, dtype=torch.int64, device=proposals.device)
    overlaps = horizontal_iou(oriented_boxes_to_horizontal(proposals), oriented_boxes_to_horizontal(boxes))
    best, box = overlaps.max(dim=1)
    return torch.where(best >= positive_iou, box, NEGATIVE)


def moved_copies(
    boxes: torch.Tensor, count: int, angle: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Copies `(n * count, 5)` of oriented boxes `(n, 5)`, each moved, resized and turned at random.

    About as far as the proposals of a detector that has learned for a while. `angle` is the standard deviation of the
    turns, in radians.
    """
    copies = boxes.repeat(count, 1)
    drawn = torch.randn(len(copies), 5, generator=generator).to(copies)
    along, across = (drawn[:, :2] * CENTRE_SPREAD * copies[:, 2:4]).unbind(dim=1)
    cosine, sine = copies[:, 4].cos(), copies[:, 4].sin()
    offset = torch.stack([cosine * along - sine * across, sine * along + cosine * across], dim=1)
    sides = copies[:, 2:4] * (SIDE_SPREAD * drawn[:, 2:4]).exp()
    return torch.cat([copies[:, :2] + offset, sides, copies[:, 4:] + angle * drawn[:, 4:]], dim=1)


def sample(
    assigned: torch.Tensor, count: int, positive_fraction: float, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """A uniform random sample of positives (at most `count * positive_fraction`), filled up with negatives.

    Args:
        assigned: what `assign_anchors` or `assign_proposals` gave.
        generator: on the CPU, whatever the device of the model, so that a seed means the same everywhere.

    Returns:
        The sorted indices of the positives and those of the negatives.
    """
    positives = (assigned >= 0).nonzero().flatten()
    positives = random_subset(positives, int(count * positive_fraction), generator)
    negatives = (assigned == NEGATIVE).nonzero().flatten()
    return positives, random_subset(negatives, count - len(positives), generator)


def random_subset(indices: torch.Tensor, count: int, generator: torch.Generator | None) -> torch.Tensor:
    """`count` of the sorted indices, sorted; all of them where there are no more."""
    if len(indices) <= count:
        return indices
    chosen = torch.randperm(len(indices), generator=generator)[:count].sort().values
    return indices[chosen.to(indices.device)]


def horizontal_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """IoU `(n, m)` of horizontal boxes `(n, 4)` and `(m, 4)`: left, top, right, bottom."""
    left, top, right, bottom = (column[:, None] for column in first.unbind(dim=1))
    other_left, other_top, other_right, other_bottom = second.unbind(dim=1)
    width = torch.minimum(right, other_right).sub_(torch.maximum(left, other_left)).clamp_(min=0)
    height = torch.minimum(bottom, other_bottom).sub_(torch.maximum(top, other_top)).clamp_(min=0)
    intersection = width.mul_(height)
    areas = (right - left) * (bottom - top)
    other_areas = (other_right - other_left) * (other_bottom - other_top)
    return intersection / (areas + other_areas - intersection).clamp_(min=1e-6)
