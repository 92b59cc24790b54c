"""Which box an anchor or a proposal is to find: assignment by overlap, and a random sample of it for the loss.

Source: Oriented R-CNN (arXiv 2108.05699) with the rules of the official configuration (maximum IoU).
"""

from collections.abc import Callable, Sequence

import torch

from .host_values import on_device
from .oriented_boxes import oriented_boxes_to_horizontal
from .rotated_iou import iou_of_checked_boxes

# Beside the number of a box, an anchor or a proposal is assigned one of these.
NEGATIVE = -1
IGNORED = -2

# Standard deviations of moved copies: of the centre in sides, and of the logarithms of the sides.
CENTRE_SPREAD, SIDE_SPREAD = 0.1, 0.2

# Boxes compared with the anchors at once. They are neighbours, so that most anchors are left aside: few boxes leave
# more of them aside, many boxes need fewer rounds.
BOXES_AT_ONCE = 16

# Tells from two heights where the anchors lie that may reach between them.
Bands = Callable[[float, float], Sequence[slice]]


def everywhere(top: float, bottom: float) -> Sequence[slice]:
    """All anchors."""
    return (slice(None),)


def assign_anchors(
    anchors: torch.Tensor,
    hulls: torch.Tensor,
    positive_iou: float,
    negative_iou: float,
    minimum_positive_iou: float,
    bands: Bands = everywhere,
) -> torch.Tensor:
    """Assign horizontal anchors to the horizontal hulls of the boxes of an image.

    An anchor belongs to the hull it overlaps most, if by `positive_iou` or more; it is negative below `negative_iou`
    and ignored in between. In addition every hull gets the anchors that overlap it most of all (all of them where
    several do), if by `minimum_positive_iou` (more than 0) or more; of several such hulls the last one counts.

    Args:
        anchors: `(n, 4)`, left, top, right, bottom in pixels.
        hulls: `(m, 4)`, likewise. On the host even if the anchors are not: then nothing waits for the device.
        bands: tells which anchors may reach between two heights, as `AnchorBands`; all of them where it is not given.

    Returns:
        int64 `(n,)`: the number of a box, `NEGATIVE` or `IGNORED`.
    """
    if not len(hulls):
        return torch.full((len(anchors),), NEGATIVE, dtype=torch.int64, device=anchors.device)
    best = anchors.new_zeros(len(anchors))
    best_hull = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    claimed = torch.full_like(best_hull, NEGATIVE)
    tops, bottoms = hulls[:, 1].tolist(), hulls[:, 3].tolist()
    order = sorted(range(len(hulls)), key=tops.__getitem__)
    # Sorted within a part, so that of equal overlaps the first box is found first.
    parts = [sorted(order[start : start + BOXES_AT_ONCE]) for start in range(0, len(order), BOXES_AT_ONCE)]
    numbers = on_device(torch.tensor([number for part in parts for number in part]), anchors.device)
    hulls = on_device(hulls, anchors.device)
    for part, own in zip(parts, numbers.split(BOXES_AT_ONCE), strict=True):
        near = bands(min(tops[number] for number in part), max(bottoms[number] for number in part))
        if not near:
            continue
        iou = horizontal_iou(hulls[own], torch.cat([anchors[band] for band in near]))
        highest, row = iou.max(dim=0)
        hull, claim = own[row], last_claims(iou, own, minimum_positive_iou)
        sizes = [len(best[band]) for band in near]
        for band, *values in zip(near, *(each.split(sizes) for each in (highest, hull, claim)), strict=True):
            keep_best(best[band], best_hull[band], *values[:2])
            claimed[band] = torch.maximum(claimed[band], values[2])
    assigned = torch.full_like(best_hull, IGNORED)
    assigned = torch.where(best < negative_iou, NEGATIVE, assigned)
    assigned = torch.where(best >= positive_iou, best_hull, assigned)
    return torch.where(claimed != NEGATIVE, claimed, assigned)


def keep_best(best: torch.Tensor, best_hull: torch.Tensor, iou: torch.Tensor, hull: torch.Tensor) -> None:
    """Replace overlaps `(n,)` and numbers of hulls `(n,)` where others are better; of equal ones the first counts."""
    better = (iou > best) | ((iou == best) & (hull < best_hull))
    best_hull.copy_(torch.where(better, hull, best_hull))
    best.copy_(torch.maximum(best, iou))


def last_claims(iou: torch.Tensor, numbers: torch.Tensor, least: float) -> torch.Tensor:
    """Of every anchor the last hull that it overlaps most of all anchors: its number, or `NEGATIVE`; int64 `(n,)`.

    Args:
        iou: of hulls and anchors `(m, n)`; there are less than 256 hulls.
        numbers: of the hulls `(m,)`, rising.
        least: what overlaps less is not claimed; more than 0.
    """
    most = iou.amax(dim=1, keepdim=True)
    claims = iou == torch.where(most >= least, most, 2.0)  # which no overlap is
    rows = torch.arange(1, len(numbers) + 1, dtype=torch.uint8, device=iou.device)
    last = torch.where(claims, rows[:, None], rows.new_zeros(())).amax(dim=0).long()
    return torch.where(last > 0, numbers[(last - 1).clamp(min=0)], NEGATIVE)


def assign_proposals(proposals: torch.Tensor, boxes: torch.Tensor, positive_iou: float) -> torch.Tensor:
    """Assign oriented proposals `(n, 5)` to the box `(m, 5)` of the largest rotated IoU, if `positive_iou` or more.

    Returns:
        int64 `(n,)`: the number of a box or `NEGATIVE`.
    """
    if not len(boxes) or not len(proposals):
        return torch.full((len(proposals),), NEGATIVE, dtype=torch.int64, device=proposals.device)
    best, box = iou_of_checked_boxes(proposals, boxes).max(dim=1)
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
    drawn = on_device(torch.randn(len(copies), 5, generator=generator), copies.device).to(copies.dtype)
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
    kinds = torch.stack([assigned >= 0, assigned == NEGATIVE])
    places = kinds.cumsum(dim=1, dtype=torch.int32)
    found = kinds.sum(dim=1).tolist()  # the only wait for the device
    positives = random_ranks(found[0], int(count * positive_fraction), generator)
    negatives = random_ranks(found[1], count - len(positives), generator)
    ranks = on_device(torch.cat([positives, negatives]), assigned.device).split([len(positives), len(negatives)])
    return torch.searchsorted(places[0], ranks[0]), torch.searchsorted(places[1], ranks[1])


def random_ranks(available: int, count: int, generator: torch.Generator | None) -> torch.Tensor:
    """`count` of the numbers from 1 to `available`, int32 and sorted; all of them where there are no more."""
    if available <= count:
        return torch.arange(1, available + 1, dtype=torch.int32)
    return torch.randperm(available, generator=generator)[:count].sort().values.int() + 1


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
