"""Oriented boxes: the convention of this package, and the conversions to and from others.

A box is (cx, cy, w, h, theta). Centre and sizes are in pixels, theta is in radians; x points right and y down. The w
side runs along (cos theta, sin theta) and the h side along (-sin theta, cos theta), so a positive theta turns the box
clockwise as seen on the screen, as in OpenCV, mmrotate and YOLO-OBB. The official release of S5 counts the other way
round: see `negate_theta`.

The canonical form has w >= h and theta in (-pi/2, pi/2]. A square has theta and theta +- pi/2 to choose from; like the
official release, `canonical_boxes` gives it the second.

Every function keeps dtype and device, takes any number of leading dimensions, and changes nothing in place. Those that
read a format of other people check their input; the plain geometry does not, so that it stays cheap inside networks:
`check_oriented_boxes` is there for the border.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

from .host_values import constants_like

__all__ = [
    "canonical_boxes",
    "check_oriented_boxes",
    "check_polygons",
    "corners_to_oriented_boxes",
    "dota_to_oriented_boxes",
    "flip_boxes_horizontally",
    "flip_boxes_vertically",
    "horizontal_to_oriented_boxes",
    "long_edge_90_to_oriented_boxes",
    "minimum_area_rectangles",
    "negate_theta",
    "opencv_to_oriented_boxes",
    "oriented_boxes_from_degrees",
    "oriented_boxes_to_corners",
    "oriented_boxes_to_dota",
    "oriented_boxes_to_horizontal",
    "oriented_boxes_to_long_edge_90",
    "oriented_boxes_to_negative_opencv",
    "oriented_boxes_to_opencv",
    "oriented_boxes_to_yolo",
    "rotate_boxes",
    "wrap_theta",
    "yolo_to_oriented_boxes",
]

# The four edges and the two diagonals: every side of the convex hull of four points is among them.
_PAIRS = ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3))


def check_oriented_boxes(boxes: Tensor, name: str = "boxes") -> None:
    """Raise for invalid boxes, and warn of angles that look like degrees.

    Args:
        boxes: floating point, [..., 5].
        name: what the messages call them.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: the last dimension is not 5, or a box holds NaN, infinity or a negative size (names its index).

    Warns:
        UserWarning: a theta beyond +-2 pi.
    """
    _check_last_dimension(boxes, 5, "(cx, cy, w, h, theta)", name)
    finite = torch.isfinite(boxes).all(dim=-1)
    positive = (boxes[..., 2:4] >= 0).all(dim=-1)
    turned = boxes[..., 4].abs() > 2 * math.pi + 0.01  # rounding of whole turns
    # One transfer for the three answers: on a GPU each would wait for the device.
    all_finite, all_positive, any_turned = torch.stack([finite.all(), positive.all(), turned.any()]).tolist()
    if not all_finite:
        index, values = _first(~finite, boxes)
        raise ValueError(f"{name}[{index}] is {values}: every number must be finite")
    if not all_positive:
        index, values = _first(~positive, boxes)
        raise ValueError(f"{name}[{index}] is {values}: w and h must not be negative")
    if any_turned:
        index, values = _first(turned, boxes)
        warnings.warn(
            f"{name}[{index}] is {values}: theta lies beyond +-2 pi, but is read as radians. "
            "If it is in degrees, convert the boxes with oriented_boxes_from_degrees",
            stacklevel=2,
        )


def check_polygons(polygons: Tensor, name: str = "polygons") -> None:
    """Raise for corners [..., 4, 2] that hold NaN or infinity, or are not four; the message names the index.

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: another number of corners, or a number that is not finite.
    """
    _check_last_dimension(polygons, 2, "(x, y)", name)
    if polygons.ndim < 2 or polygons.shape[-2] != 4:
        corners = polygons.shape[-2] if polygons.ndim > 1 else 1
        raise ValueError(f"{name} have {corners} corners each (shape {tuple(polygons.shape)}), expected 4")
    finite = torch.isfinite(polygons).flatten(start_dim=-2).all(dim=-1)
    if not finite.all():
        index, values = _first(~finite, polygons)
        raise ValueError(f"{name}[{index}] is {values}: every number must be finite")


def _check_last_dimension(values: Tensor, size: int, meaning: str, name: str) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        seen = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {seen}")
    if values.ndim == 0 or values.shape[-1] != size:
        raise ValueError(f"{name} must be [..., {size}], {meaning}, got shape {tuple(values.shape)}")


def _first(where: Tensor, values: Tensor) -> tuple[str, list]:
    """Index of the first true element, as it is written between brackets, and its values."""
    index = where.nonzero()[0].tolist()
    return ", ".join(map(str, index)), values[tuple(index)].tolist()


def wrap_theta(theta: Tensor) -> Tensor:
    """Angles, any shape, turned by half turns into (-pi/2, pi/2]; those already there stay as they are, bit by bit."""
    half_turn = math.pi / 2
    # ceil, not floor: the range is closed above, because the official one, of -theta, is closed below.
    turned = theta - math.pi * torch.ceil(theta / math.pi - 0.5)
    inside = (theta > -half_turn) & (theta <= half_turn)
    return torch.where(inside, theta, turned.clamp(-half_turn, half_turn))


def canonical_boxes(boxes: Tensor) -> Tensor:
    """The same boxes, [..., 5], with w >= h and theta in (-pi/2, pi/2].

    Boxes with w > h keep their sides; the others, squares too, swap them and turn by a quarter (oriented-rcnn:
    `regular_obb` of the official release, under theta -> -theta).
    """
    centre, w, h, theta = boxes[..., :2], boxes[..., 2], boxes[..., 3], boxes[..., 4]
    keep = w > h
    sides = torch.stack([torch.where(keep, w, h), torch.where(keep, h, w)], dim=-1)
    theta = wrap_theta(torch.where(keep, theta, theta - math.pi / 2))
    return torch.cat([centre, sides, theta[..., None]], dim=-1)


def oriented_boxes_to_corners(boxes: Tensor) -> Tensor:
    """Corners [..., 4, 2] of boxes [..., 5], in the order (-w, -h), (w, -h), (w, h), (-w, h) along the box's axes.

    At theta = 0 that is top left, top right, bottom right, bottom left.
    """
    along = _unit(boxes[..., 4]) * (boxes[..., 2:3] / 2)
    across = _unit(boxes[..., 4]).flip(-1) * (boxes[..., 3:4] / 2)
    across = across * constants_like(across, [-1.0, 1.0])
    centre = boxes[..., :2]
    corners = [centre - along - across, centre + along - across, centre + along + across, centre - along + across]
    return torch.stack(corners, dim=-2)


def _unit(theta: Tensor) -> Tensor:
    return torch.stack([theta.cos(), theta.sin()], dim=-1)


def corners_to_oriented_boxes(corners: Tensor) -> Tensor:
    """Canonical boxes [..., 5] of rectangles given by their corners [..., 4, 2], in order around the rectangle.

    The first edge gives theta, the ranges of the corners along the two axes give w and h. For corners that need not
    form a rectangle there is `minimum_area_rectangles`.
    """
    edge = corners[..., 1, :] - corners[..., 0, :]
    theta = torch.atan2(edge[..., 1], edge[..., 0])
    centre = corners.mean(dim=-2)
    along = _unit(theta)
    offsets = corners - centre[..., None, :]
    x = (offsets * along[..., None, :]).sum(-1)
    y = offsets[..., 1] * along[..., None, 0] - offsets[..., 0] * along[..., None, 1]
    sides = torch.stack([x.amax(-1) - x.amin(-1), y.amax(-1) - y.amin(-1)], dim=-1)
    return canonical_boxes(torch.cat([centre, sides, theta[..., None]], dim=-1))


def minimum_area_rectangles(polygons: Tensor) -> Tensor:
    """Canonical boxes [..., 5] of least area around any four points [..., 4, 2]: what OpenCV's minAreaRect finds.

    The smallest rectangle around a set of points has a side along one of the sides of their convex hull, so the six
    lines through two of the points are tried. Where two rectangles are equally small the earlier line wins.
    """
    first, second = (torch.tensor(ends, device=polygons.device) for ends in zip(*_PAIRS, strict=True))
    # Relative to the mean, so that far from the origin no digits are lost.
    origin = polygons.mean(dim=-2, keepdim=True)
    points = polygons - origin
    directions = points[..., second, :] - points[..., first, :]
    lengths = directions.norm(dim=-1, keepdim=True)
    fallback = torch.tensor([1.0, 0.0], dtype=polygons.dtype, device=polygons.device)
    along = torch.where(lengths > 0, directions / torch.where(lengths > 0, lengths, 1), fallback)  # [..., 6, 2]
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    x, y = along @ points.transpose(-1, -2), across @ points.transpose(-1, -2)  # [..., 6, 4]
    low = torch.stack([x.amin(-1), y.amin(-1)], dim=-1)
    high = torch.stack([x.amax(-1), y.amax(-1)], dim=-1)
    sides = high - low  # [..., 6, 2]

    areas = sides.prod(-1)
    # The rounding of the areas must not decide between the equal rectangles of parallel sides.
    near = areas <= areas.amin(-1, keepdim=True) * (1 + 16 * torch.finfo(areas.dtype).eps)
    best = near.to(torch.uint8).argmax(dim=-1)[..., None, None].expand(*areas.shape[:-1], 1, 2)
    low, high, sides, along, across = (
        values.gather(-2, best).squeeze(-2) for values in (low, high, sides, along, across)
    )
    middle = (low + high) / 2
    centre = origin.squeeze(-2) + middle[..., :1] * along + middle[..., 1:] * across
    theta = torch.atan2(along[..., 1:], along[..., :1])
    return canonical_boxes(torch.cat([centre, sides, theta], dim=-1))


def oriented_boxes_to_horizontal(boxes: Tensor) -> Tensor:
    """Horizontal hulls [..., 4] of boxes [..., 5]: x1, y1, x2, y2; not clipped to any image."""
    cosine, sine = boxes[..., 4].cos().abs(), boxes[..., 4].sin().abs()
    w, h = boxes[..., 2] / 2, boxes[..., 3] / 2
    extent = torch.stack([w * cosine + h * sine, w * sine + h * cosine], dim=-1)
    return torch.cat([boxes[..., :2] - extent, boxes[..., :2] + extent], dim=-1)


def horizontal_to_oriented_boxes(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] of horizontal boxes [..., 4] (x1, y1, x2, y2): theta is 0, or pi/2 where h > w."""
    centre, sides = (boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]
    wide = sides[..., :1] >= sides[..., 1:]
    sides = torch.where(wide, sides, sides.flip(-1))
    theta = torch.where(wide, 0.0, math.pi / 2).to(boxes.dtype)
    return torch.cat([centre, sides, theta], dim=-1)


def flip_boxes_horizontally(boxes: Tensor, width: float) -> Tensor:
    """Boxes [..., 5] in the mirror image (left and right swapped) of an image `width` pixels wide."""
    return torch.cat([width - boxes[..., :1], boxes[..., 1:4], wrap_theta(-boxes[..., 4:])], dim=-1)


def flip_boxes_vertically(boxes: Tensor, height: float) -> Tensor:
    """Boxes [..., 5] in the mirror image (top and bottom swapped) of an image `height` pixels high."""
    return torch.cat([boxes[..., :1], height - boxes[..., 1:2], boxes[..., 2:4], wrap_theta(-boxes[..., 4:])], dim=-1)


def rotate_boxes(boxes: Tensor, angle: float, center: tuple[float, float]) -> Tensor:
    """Boxes [..., 5] turned about a point by an angle in radians, positive clockwise on the screen (as theta is)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = boxes[..., 0] - center[0], boxes[..., 1] - center[1]
    centre = torch.stack([center[0] + cosine * x - sine * y, center[1] + sine * x + cosine * y], dim=-1)
    return torch.cat([centre, boxes[..., 2:4], wrap_theta(boxes[..., 4:] + angle)], dim=-1)


def negate_theta(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] from this package's convention to the official release's, or back: theta changes its sign."""
    return torch.cat([boxes[..., :4], -boxes[..., 4:]], dim=-1)


def oriented_boxes_from_degrees(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] whose angle is given in degrees, clockwise on the screen, in this package's radians."""
    return torch.cat([boxes[..., :4], torch.deg2rad(boxes[..., 4:])], dim=-1)


def dota_to_oriented_boxes(polygons: Tensor) -> Tensor:
    """Canonical boxes [..., 5] of DOTA corners [..., 8] (x1, y1 .. x4, y4 in pixels): the smallest rectangles.

    Raises:
        ValueError: not four corners, or a number that is not finite (names the index).
    """
    corners = _pair_corners(polygons)
    check_polygons(corners)
    return minimum_area_rectangles(corners)


def oriented_boxes_to_dota(boxes: Tensor) -> Tensor:
    """DOTA corners [..., 8] (x1, y1 .. x4, y4 in pixels), clockwise on the screen, of boxes [..., 5]."""
    check_oriented_boxes(boxes)
    return oriented_boxes_to_corners(boxes).flatten(start_dim=-2)


def yolo_to_oriented_boxes(polygons: Tensor, width: float, height: float) -> Tensor:
    """Canonical boxes [..., 5] of YOLO-OBB corners [..., 8], which are fractions of the image's width and height.

    Raises:
        ValueError: not four corners, or a number that is not finite (names the index).
    """
    corners = _pair_corners(polygons)
    check_polygons(corners)
    return minimum_area_rectangles(corners * corners.new_tensor([width, height]))


def oriented_boxes_to_yolo(boxes: Tensor, width: float, height: float) -> Tensor:
    """YOLO-OBB corners [..., 8] (fractions of the image's width and height) of boxes [..., 5]."""
    check_oriented_boxes(boxes)
    corners = oriented_boxes_to_corners(boxes)
    return (corners / corners.new_tensor([width, height])).flatten(start_dim=-2)


def _pair_corners(polygons: Tensor) -> Tensor:
    if polygons.ndim == 0 or polygons.shape[-1] != 8:
        numbers = polygons.shape[-1] if polygons.ndim else 0
        raise ValueError(
            f"expected 8 numbers, 4 corners, per polygon; got {numbers}, which is {numbers / 2:g} corners"
        )
    return polygons.unflatten(-1, (4, 2))


def opencv_to_oriented_boxes(boxes: Tensor) -> Tensor:
    """Canonical boxes [..., 5] of OpenCV's rotated rectangles (cx, cy, w, h, angle in degrees).

    Releases 4.5.1 to 4.x give angles in (0, 90], older ones and 5.0 in [-90, 0). Both turn clockwise on the screen,
    and both are read.
    """
    radians = oriented_boxes_from_degrees(boxes)
    check_oriented_boxes(radians)
    return canonical_boxes(radians)


def oriented_boxes_to_opencv(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] as minAreaRect of OpenCV 4.5.1 to 4.x gives them: angle in degrees, in (0, 90]."""
    check_oriented_boxes(boxes)
    degrees = torch.rad2deg(boxes[..., 4:])
    quarters = torch.ceil(degrees / 90) - 1
    degrees = (degrees - 90 * quarters).clamp(0, 90)
    # The sides change places with every quarter turn.
    sides = torch.where(quarters.remainder(2) == 1, boxes[..., 2:4].flip(-1), boxes[..., 2:4])
    return torch.cat([boxes[..., :2], sides, degrees], dim=-1)


def oriented_boxes_to_negative_opencv(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] as minAreaRect of OpenCV before 4.5.1 and of 5.0 gives them: degrees, in [-90, 0)."""
    quarter = oriented_boxes_to_opencv(boxes)
    centre, sides, degrees = quarter[..., :2], quarter[..., 2:4], quarter[..., 4:]
    right = degrees == 90  # a quarter turn back would give 0, which lies outside: half a turn it is
    sides = torch.where(right, sides, sides.flip(-1))
    return torch.cat([centre, sides, torch.where(right, degrees - 180, degrees - 90)], dim=-1)


def long_edge_90_to_oriented_boxes(boxes: Tensor) -> Tensor:
    """Canonical boxes [..., 5] of boxes in the "le90" form: w >= h, theta in radians in [-pi/2, pi/2)."""
    check_oriented_boxes(boxes)
    return canonical_boxes(boxes)


def oriented_boxes_to_long_edge_90(boxes: Tensor) -> Tensor:
    """Boxes [..., 5] in the "le90" form of mmrotate: w >= h, theta in radians in [-pi/2, pi/2)."""
    check_oriented_boxes(boxes)
    swap = boxes[..., 2:3] < boxes[..., 3:4]
    sides = torch.where(swap, boxes[..., 2:4].flip(-1), boxes[..., 2:4])
    theta = wrap_theta(torch.where(swap, boxes[..., 4:] + math.pi / 2, boxes[..., 4:]))
    theta = torch.where(theta >= math.pi / 2, -theta, theta)
    return torch.cat([boxes[..., :2], sides, theta], dim=-1)
