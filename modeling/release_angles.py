"""Angles inside the two box coders: the sign and the canonical form of the official release.

The release counts theta counter-clockwise on the screen, this package clockwise. Weights of the release predict its
angle differences, so the coders, and only they, work in its sign: boxes go in and come out in the convention of this
package (`oriented_boxes.py`), deltas are the official ones.
"""

import torch

# The release's own value. It decides on which side of the wrap an exactly upright box falls, and with that which way
# round the features of its RoI are read.
PI = 3.141592


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
