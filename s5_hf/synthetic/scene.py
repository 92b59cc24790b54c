"""A made-up aerial photograph with its class mask and oriented boxes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .canvas import Box, Canvas
from .cars import place_cars
from .fields import paint_fields
from .light import Sun, cast_shadows, expose, vary_light
from .roads import paint_roads, side_roads, through_roads
from .settlement import build_settlement
from .trees import plant_trees
from .water import FAR, add_lake, paint_water, river_distance

BOX_LABELS = ("building", "car")
"""The classes of the boxes; `SyntheticScene.box_labels` holds positions in this tuple."""

# Tables of colours look alike in every module of this folder.
SCENE_PALETTE: tuple[tuple[int, int, int], ...] = (
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (255, 255, 255),
)
"""A colour for each of `SCENE_LABELS`, after Okabe and Ito."""

SMALLEST_SIDE, LARGEST_SIDE = 64, 4096


@dataclass(frozen=True)
class SyntheticScene:
    """An aerial view at 0.5 m per pixel, north up, of farmland with water, roads, houses, trees and cars.

    A box (cx, cy, w, h, theta) is in pixels and radians. Its w axis points along (cos theta, sin theta), its h axis
    along (-sin theta, cos theta), with x to the right and y downwards; its corners are
    centre ± w/2 * (cos theta, sin theta) ± h/2 * (-sin theta, cos theta). Here w >= h and -pi/2 <= theta < pi/2.
    Coordinates are continuous: the centre of the pixel in row r and column c lies at (c + 0.5, r + 0.5).

    Roofs and cars are only built where they fit into the image as a whole, so every box lies inside it and nothing
    that should have a box is cut off by the border. The pixels of class `building` are those whose centre lies
    in the box of a roof, those of class `car` those in the box of a car; trees never hide them.

    Attributes:
        image: uint8 [height, width, 3], RGB.
        mask: uint8 [height, width], positions in `SCENE_LABELS`. Field is all open ground, gardens included; road is
            everything paved, drives and yards included.
        boxes: float32 [N, 5], roofs first, then cars.
        box_labels: int64 [N], positions in `BOX_LABELS`.
        seed: what the scene was made from.
    """

    image: np.ndarray
    mask: np.ndarray
    boxes: np.ndarray
    box_labels: np.ndarray
    seed: int


def synthetic_scene(size: int | tuple[int, int] = 512, seed: int = 0, variety: float = 0.0) -> SyntheticScene:
    """Make a scene. The same arguments always give the same scene.

    Args:
        size: the side of a square, or (height, width); each from 64 to 4096 pixels. A larger scene shows more land,
            not more detail.
        seed: not negative. Season, light, colours, layout and density all depend on it.
        variety: how far photographs differ as if they came from several sensors, seasons and weathers, 0 to 1; what
            the scene holds does not depend on it.

    Raises:
        TypeError: size or seed are not integers.
        ValueError: size, seed or variety are out of range.
    """
    shape = checked_shape(size)
    _check_seed(seed)
    if not 0 <= variety <= 1:
        raise ValueError(f"variety must lie between 0 and 1, got {variety}")
    # A stream for each layer: a change in one of them leaves the others as they were.
    streams = iter([np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(10)])
    layout = next(streams)
    sun = Sun.random(layout)
    heading = layout.uniform(0, math.pi)
    canvas = Canvas.blank(shape)
    parcels = paint_fields(canvas, heading, next(streams))

    rng = next(streams)
    roads = through_roads(shape, heading, rng)
    to_water = np.full(shape, FAR, dtype=np.float32)
    has_river = layout.random() < 0.55
    if has_river:
        to_water = river_distance(shape, roads[0].path, layout)
    roads += side_roads(roads, to_water, shape, rng)
    if not has_river or layout.random() < 0.35:
        to_water = add_lake(to_water, np.concatenate([road.path.points for road in roads]), layout)
    paint_water(canvas, to_water, next(streams))
    to_road = paint_roads(canvas, roads, next(streams))

    settlement = build_settlement(canvas, roads, to_road, to_water, sun, next(streams))
    cars = place_cars(canvas, roads, settlement.parking, next(streams))
    plant_trees(canvas, parcels, settlement, to_road, to_water, sun, next(streams))
    image = expose(canvas.image, cast_shadows(canvas.elevation, sun), next(streams))
    if variety:
        image = vary_light(image, variety, next(streams))
    boxes, labels = _as_arrays(settlement.roofs, cars)
    return SyntheticScene(image, canvas.mask, boxes, labels, int(seed))


def synthetic_dataset(count: int, size: int | tuple[int, int] = 512, seed: int = 0) -> Iterator[SyntheticScene]:
    """Make `count` different scenes, one at a time.

    Each scene's own seed follows from `seed` and its position: a longer dataset starts with the scenes of a shorter
    one, and `synthetic_scene(size, scene.seed)` makes a scene again.

    Raises:
        TypeError, ValueError: as `synthetic_scene`, or `count` is not an integer or negative; at the call, not at
            the first scene.
    """
    checked_shape(size)
    return (synthetic_scene(size, scene_seed) for scene_seed in scene_seeds(count, seed))


def scene_seeds(count: int, seed: int) -> list[int]:
    """The seeds of the scenes of `synthetic_dataset(count, ..., seed)`."""
    _check_seed(seed)
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
        raise TypeError(f"count must be an integer, got {type(count).__name__}")
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    return (np.random.SeedSequence(seed).generate_state(int(count), np.uint64) >> np.uint64(1)).tolist()


def _as_arrays(roofs: list[Box], cars: list[Box]) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.array([box.normalized() for box in [*roofs, *cars]], dtype=np.float32).reshape(-1, 5)
    return boxes, np.repeat(np.arange(len(BOX_LABELS), dtype=np.int64), [len(roofs), len(cars)])


def checked_shape(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) from either form of `size`, or the error that `synthetic_scene` documents."""
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, (int, np.integer)) for side in sides):
        raise TypeError(f"size must be an integer or (height, width), got {size!r}")
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
        raise ValueError(f"each side of a scene must have {SMALLEST_SIDE} to {LARGEST_SIDE} pixels, got {size!r}")
    return int(sides[0]), int(sides[1])


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be an integer, got {type(seed).__name__}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
