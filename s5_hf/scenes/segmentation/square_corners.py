"""Outlines with right angles, where an object has a direction that most of its sides follow, as buildings do.

The direction is the one that the sides, weighted by their length, agree on (circular mean of four times their angle).
Sides near it, or across it, are turned into it about their middle, and corners are where turned sides meet. An
object whose sides do not agree, or whose outline would move too far, keeps the outline that it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ...imaging.line_simplification import kept_vertices

if TYPE_CHECKING:
    from shapely import Polygon

__all__ = ["squared_outline"]

_ALIGNED = math.radians(20)  # sides farther than this from both directions are left as they are
_LEAST_ALIGNED = 0.65  # of the length of all sides; a circle has 0.44
_SHORTEST = 2.5  # pixels; shorter sides are steps
_SHORTEST_SLANTED = 5.0  # pixels; shorter ones are cut corners
_LEAST_ANGLE = math.sin(math.radians(25))  # between sides that are made to meet
_ONE_HEADING = math.cos(math.radians(10))  # of slanted sides that are one
_LARGEST_SHIFT = 0.75  # pixels by which an outline may move on average


@dataclass(frozen=True)
class _Side:
    """A side of an outline.

    Attributes:
        points: `(n, 2)`, what was seen of it, from its begin to its end.
        direction: unit vector.
        is_turned: whether that is one of the directions of the object.
    """

    points: np.ndarray
    direction: np.ndarray
    is_turned: bool

    @property
    def middle(self) -> np.ndarray:
        """A point on its line: the mean of what was seen."""
        return self.points.mean(axis=0)

    def nearest(self, point: np.ndarray) -> np.ndarray:
        """The point on its line that is nearest to another."""
        return self.middle + self.direction * float((point - self.middle) @ self.direction)


def squared_outline(outline: Polygon, tolerance: float = 1.0, aspect: float = 1.0) -> Polygon | None:
    """An outline with right angles.

    Args:
        outline: of the pixels of an object, with steps along slanted sides, in pixels; holes included.
        tolerance: how far the outline may move where the steps are smoothed, in pixels; above 0.
        aspect: width of a pixel on the ground divided by its height: angles are right on the ground.

    Returns:
        A valid polygon, or None where the sides of the object follow no direction, or the area between the old and
        the new outline is larger than the tolerance (at most 0.75 pixels) times the length of the outline.
    """
    import shapely

    rings = [_smooth_sides(np.asarray(ring.coords), tolerance) for ring in (outline.exterior, *outline.interiors)]
    stretch = np.array([aspect, 1.0])
    rings = [[side * stretch for side in sides] for sides in rings]
    direction = _direction_of(rings)
    if direction is None:
        return None
    made = [_squared_ring(sides, direction, tolerance) for sides in rings]
    if any(len(ring) < 4 for ring in made):
        return None
    found = shapely.Polygon(made[0] / stretch, [ring / stretch for ring in made[1:]])
    if not found.is_valid or found.is_empty:
        return None
    if found.symmetric_difference(outline).area > min(tolerance, _LARGEST_SHIFT) * outline.length:
        return None
    return found


def _smooth_sides(ring: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """The sides of a ring of pixels, each as the middles `(n, 2)` of the sides of pixels along it.

    Middles lie on straight lines where outlines have steps.
    """
    corners = [ring[:1]]
    for begin, end in pairwise(ring):
        steps = max(1, round(float(np.abs(end - begin).max())))
        corners.append(begin + (end - begin) * (np.arange(1, steps + 1) / steps)[:, None])
    walk = np.concatenate(corners)
    middles = (walk[1:] + walk[:-1]) / 2
    # From the point that is the farthest out, which is near a corner.
    start = int(np.argmax(np.linalg.norm(middles - middles.mean(axis=0), axis=1)))
    middles = np.concatenate([middles[start:], middles[: start + 1]])
    places = kept_vertices(middles, tolerance, is_ring=True)
    return [_without_corners(middles[begin : end + 1]) for begin, end in pairwise(places)]


def _without_corners(side: np.ndarray) -> np.ndarray:
    """The middles that belong to one side only, where there are enough of them."""
    return side[1:-1] if len(side) > 4 else side


def _heading(points: np.ndarray) -> np.ndarray:
    """The direction of the straight line that is nearest to points `(n, 2)`, from the first to the last; `(2,)`."""
    _, _, axes = np.linalg.svd(points - points.mean(axis=0))
    along = float(axes[0] @ (points[-1] - points[0]))
    return axes[0] if along >= 0 else -axes[0]


def _direction_of(rings: list[list[np.ndarray]]) -> float | None:
    """The angle that most sides follow or stand across, in radians, -pi/4 to pi/4; None if there is none."""
    sides = [side for ring in rings for side in ring]
    headings = np.array([_heading(side) for side in sides])
    lengths = np.array([np.linalg.norm(side[-1] - side[0]) + 1 for side in sides])
    angles = np.arctan2(headings[:, 1], headings[:, 0])
    best, largest = None, _LEAST_ALIGNED * lengths.sum()
    # Long sides tell more than their length, because steps of pixels turn short ones.
    for power in (1, 2):
        found = np.angle((lengths**power * np.exp(4j * angles)).sum()) / 4
        found = 0.0 if abs(found) < 1e-9 else float(found)
        apart = np.abs((angles - found + math.pi / 4) % (math.pi / 2) - math.pi / 4)
        aligned = float(lengths[apart <= _ALIGNED].sum())
        if aligned > largest:
            best, largest = found, aligned
    return best


def _squared_ring(sides: list[np.ndarray], direction: float, tolerance: float) -> np.ndarray:
    """The corners `(n, 2)` of a ring whose sides are turned into a direction, or across it, where they are near."""
    axes = np.array([[math.cos(direction), math.sin(direction)], [-math.sin(direction), math.cos(direction)]])
    joined = _joined_sides([_turned_side(side, axes) for side in sides], max(1.0, tolerance))
    if len(joined) < 3:
        return np.zeros((0, 2))
    return np.concatenate([_meeting(side, following) for side, following in pairwise([*joined, joined[0]])])


def _turned_side(points: np.ndarray, axes: np.ndarray) -> _Side:
    heading = _heading(points)
    along = axes @ heading
    axis = int(np.argmax(np.abs(along)))
    is_turned = bool(abs(along[axis]) >= math.cos(_ALIGNED))
    return _Side(points, axes[axis] * np.sign(along[axis]) if is_turned else heading, is_turned)


def _joined_sides(sides: list[_Side], tolerance: float) -> list[_Side]:
    """The sides without short ones; neighbours of one heading that lie on nearly one line are one side."""
    while len(sides) > 2:
        sizes = [_length(side) / (_SHORTEST if side.is_turned else _SHORTEST_SLANTED) for side in sides]
        smallest = int(np.argmin(sizes))
        place = next((place for place in range(len(sides)) if _is_one(sides, place, tolerance)), None)
        if place is not None:
            following = (place + 1) % len(sides)
            points = np.concatenate([sides[place].points, sides[following].points])
            is_turned = sides[place].is_turned
            joined = _Side(points, sides[place].direction if is_turned else _heading(points), is_turned)
            sides = [joined if k == place else side for k, side in enumerate(sides) if k != following]
        elif sizes[smallest] < tolerance:
            sides = [side for k, side in enumerate(sides) if k != smallest]
        else:
            break
    return sides


def _length(side: _Side) -> float:
    """Of what was seen, and of half a pixel at either end."""
    return float(np.linalg.norm(side.points[-1] - side.points[0])) + 1


def _is_one(sides: list[_Side], place: int, tolerance: float) -> bool:
    first, second = sides[place], sides[(place + 1) % len(sides)]
    apart = second.middle - first.middle
    offset = abs(apart[0] * first.direction[1] - apart[1] * first.direction[0])
    same_heading = float(first.direction @ second.direction) > _ONE_HEADING
    return first.is_turned == second.is_turned and same_heading and offset <= _SHORTEST * tolerance


def _meeting(side: _Side, following: _Side) -> np.ndarray:
    """Where two sides meet, `(1, 2)`; nearly parallel ones get a step between them, `(2, 2)`."""
    cross = side.direction[0] * following.direction[1] - side.direction[1] * following.direction[0]
    if abs(cross) > _LEAST_ANGLE:
        apart = following.middle - side.middle
        share = (apart[0] * following.direction[1] - apart[1] * following.direction[0]) / cross
        return (side.middle + share * side.direction)[None]
    between = (side.points[-1] + following.points[0]) / 2
    return np.stack([side.nearest(between), following.nearest(between)])
