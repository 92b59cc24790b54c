"""Box coders: oriented boxes as numbers relative to anchors and to proposals, and back.

Source: Oriented R-CNN (Xie et al., arXiv 2108.05699), sections 3.1 and 3.2, in the form of the official release.

- Midpoint offsets: six numbers relative to a horizontal anchor. The horizontal hull of the box gives four; the other
  two say where the box touches the upper and the right side of its hull.
- Oriented deltas (`OBB2OBBDeltaXYWHT` of the release): five numbers relative to an oriented proposal, in its axes.

The release counts theta counter-clockwise on the screen, this package clockwise. Weights of the release predict its
angle differences, so the coders, and only they, work in its sign: boxes are given and returned in the convention of
this package (`oriented_boxes.py`), deltas are the official ones.
"""

import math
from collections.abc import Sequence

import torch

from .host_values import constants_like
from .oriented_boxes import horizontal_to_oriented_boxes, oriented_boxes_to_corners

# A network's first guesses may be wild: sizes change by at most this factor (in the logarithm).
LARGEST_LOG_CHANGE = abs(math.log(16 / 1000))

# Corners within this many pixels of a side of the hull touch it; of several, the rightmost and the lowest count.
TOUCH = 0.1

# The release's own value. It decides on which side of the wrap an exactly upright box falls, and with that which way
# round the features of its RoI are read.
PI = 3.141592


def encode_midpoint_offsets(anchors: torch.Tensor, boxes: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """Regression targets.

    Args:
        anchors: `(n, 4)`, left, top, right, bottom in pixels.
        boxes: `(n, 5)`, oriented boxes of this package, one per anchor, with positive sides.
        stds: six divisors.

    Returns:
        `(n, 6)`: offset of the hull's centre in anchor sizes, logarithms of the ratios of the sizes, offset of the
        upper and of the right touching point from the centre in sizes of the hull (-0.5 to 0.5); all divided by stds.
    """
    corners = oriented_boxes_to_corners(boxes).reshape(-1, 4, 2)
    x, y = corners.unbind(dim=-1)
    left, right, top, bottom = x.amin(dim=1), x.amax(dim=1), y.amin(dim=1), y.amax(dim=1)
    lowest = torch.finfo(x.dtype).min
    alpha = torch.where((y - top[:, None]).abs() <= TOUCH, x, lowest).amax(dim=1)
    beta = torch.where((x - right[:, None]).abs() <= TOUCH, y, lowest).amax(dim=1)
    centre_x, centre_y, width, height = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
    anchor_x, anchor_y, anchor_width, anchor_height = centre_and_size(anchors)
    deltas = [
        (centre_x - anchor_x) / anchor_width,
        (centre_y - anchor_y) / anchor_height,
        (width / anchor_width).log(),
        (height / anchor_height).log(),
        (alpha - centre_x) / width,
        (beta - centre_y) / height,
    ]
    return torch.stack(deltas, dim=1) / constants_like(deltas[0], stds)


def decode_midpoint_offsets(anchors: torch.Tensor, deltas: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """Oriented boxes of this package `(n, 5)` from anchors `(n, 4)` and deltas `(n, 6)`.

    Touching points span a parallelogram; stretching its shorter diagonal to the longer one makes it a rectangle.
    Boxes may reach beyond the image.
    """
    offsets = deltas * constants_like(deltas, stds)
    x, y, width, height = decode_hulls(anchors, offsets)
    alpha, beta = offsets[:, 4:].unbind(dim=1)

    # Half diagonals of the parallelogram: from the centre to the upper and to the right touching point.
    up = torch.stack([alpha.clamp(-0.5, 0.5) * width, -height / 2], dim=1)
    right = torch.stack([width / 2, beta.clamp(-0.5, 0.5) * height], dim=1)
    up_length, right_length = up.norm(dim=1), right.norm(dim=1)
    longest = torch.maximum(up_length, right_length)
    up, right = up * (longest / up_length)[:, None], right * (longest / right_length)[:, None]

    # The rectangle up, right, -up, -right: its first side is right - up, its second right + up.
    first, second = right - up, right + up
    release_theta = torch.atan2(-first[:, 1], first[:, 0])
    return from_release_form(x, y, first.norm(dim=1), second.norm(dim=1), release_theta)


def decode_midpoint_hulls(anchors: torch.Tensor, deltas: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """The horizontal boxes of the first four of six midpoint offsets, as boxes `(n, 5)` of this package.

    What a Faster R-CNN decodes. The touching points do not matter, so this is also right before they are learned.
    """
    x, y, width, height = decode_hulls(anchors, deltas * constants_like(deltas, stds))
    low, high = torch.stack([x - width / 2, y - height / 2]), torch.stack([x + width / 2, y + height / 2])
    return horizontal_to_oriented_boxes(torch.cat([low, high]).T)


def decode_hulls(
    anchors: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre x and y, width and height of the hulls of midpoint offsets `(n, 6)`, already times their divisors."""
    dx, dy, dw, dh = offsets[:, :4].unbind(dim=1)
    anchor_x, anchor_y, anchor_width, anchor_height = centre_and_size(anchors)
    width = anchor_width * dw.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    height = anchor_height * dh.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    return anchor_x + anchor_width * dx, anchor_y + anchor_height * dy, width, height


def centre_and_size(anchors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre x and y, width and height of horizontal boxes `(n, 4)`."""
    left, top, right, bottom = anchors.unbind(dim=1)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def encode_oriented_deltas(proposals: torch.Tensor, boxes: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """Regression targets `(n, 5)` of boxes `(n, 5)` relative to proposals `(n, 5)`, one per proposal.

    Of the two ways to call a side the width, that with the smaller turn counts, so the angle is at most PI / 4.
    All sides must be positive.
    """
    x, y, width, height, theta = boxes.unbind(dim=1)
    proposal_x, proposal_y, proposal_width, proposal_height, proposal_theta = proposals.unbind(dim=1)
    turn = wrap_angle(proposal_theta - theta)
    turn_of_swapped = wrap_angle(proposal_theta - theta + PI / 2)
    keep = turn.abs() < turn_of_swapped.abs()
    cos, sin = proposal_theta.cos(), proposal_theta.sin()
    deltas = [
        (cos * (x - proposal_x) + sin * (y - proposal_y)) / proposal_width,
        (cos * (y - proposal_y) - sin * (x - proposal_x)) / proposal_height,
        (torch.where(keep, width, height) / proposal_width).log(),
        (torch.where(keep, height, width) / proposal_height).log(),
        torch.where(keep, turn, turn_of_swapped),
    ]
    return torch.stack(deltas, dim=1) / constants_like(boxes, stds)


def decode_oriented_deltas(proposals: torch.Tensor, deltas: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """Boxes `(n, 5)` from proposals `(n, 5)` and deltas `(n, 5)`; they may reach beyond the image."""
    dx, dy, dw, dh, turn = (deltas * constants_like(deltas, stds)).unbind(dim=1)
    proposal_x, proposal_y, proposal_width, proposal_height, proposal_theta = proposals.unbind(dim=1)
    cos, sin = proposal_theta.cos(), proposal_theta.sin()
    x = proposal_x + dx * proposal_width * cos - dy * proposal_height * sin
    y = proposal_y + dx * proposal_width * sin + dy * proposal_height * cos
    width = proposal_width * dw.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    height = proposal_height * dh.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    return from_release_form(x, y, width, height, turn - proposal_theta)


def wrap_angle(theta: torch.Tensor) -> torch.Tensor:
    """The angle of the same line in [-PI / 2, PI / 2)."""
    return torch.remainder(theta + PI / 2, PI) - PI / 2


def from_release_form(
    x: torch.Tensor, y: torch.Tensor, width: torch.Tensor, height: torch.Tensor, release_theta: torch.Tensor
) -> torch.Tensor:
    """Boxes `(..., 5)` of this package from parts in the sign of the release, the long side first."""
    long_first = width > height
    theta = wrap_angle(torch.where(long_first, release_theta, release_theta + PI / 2))
    longer, shorter = torch.where(long_first, width, height), torch.where(long_first, height, width)
    return torch.stack([x, y, longer, shorter, -theta], dim=-1)
