"""Oriented boxes as five numbers relative to oriented proposals, in the proposal's own axes.

Source: Oriented R-CNN (Xie et al., arXiv 2108.05699), section 3.2, in the form of the official release
(`OBB2OBBDeltaXYWHT`). Angle differences are counted counter-clockwise, as there: see `release_angles.py`.
"""

from collections.abc import Sequence

import torch

from .midpoint_offset_coder import LARGEST_LOG_CHANGE
from .release_angles import PI, from_release_form, wrap_angle


def encode(proposals: torch.Tensor, boxes: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
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
    return torch.stack(deltas, dim=1) / boxes.new_tensor(stds)


def decode(proposals: torch.Tensor, deltas: torch.Tensor, stds: Sequence[float]) -> torch.Tensor:
    """Boxes `(n, 5)` from proposals `(n, 5)` and deltas `(n, 5)`; they may reach beyond the image."""
    dx, dy, dw, dh, turn = (deltas * deltas.new_tensor(stds)).unbind(dim=1)
    proposal_x, proposal_y, proposal_width, proposal_height, proposal_theta = proposals.unbind(dim=1)
    cos, sin = proposal_theta.cos(), proposal_theta.sin()
    x = proposal_x + dx * proposal_width * cos - dy * proposal_height * sin
    y = proposal_y + dx * proposal_width * sin + dy * proposal_height * cos
    width = proposal_width * dw.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    height = proposal_height * dh.clamp(-LARGEST_LOG_CHANGE, LARGEST_LOG_CHANGE).exp()
    return from_release_form(x, y, width, height, turn - proposal_theta)
