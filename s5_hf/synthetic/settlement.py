"""Where people live: plots along the roads with gardens, drives, houses, farms and halls."""

import math
from dataclasses import dataclass, field

import numpy as np

from .canvas import ROAD, Box, Canvas, Window, edge, sample, smooth_noise
from .fields import grass_color
from .light import Sun
from .roads import Road
from .roofs import paint_flat_roof, paint_pitched_roof
from .water import FAR


@dataclass
class Settlement:
    """What has been built.

    Attributes:
        plots: gardens and yards; they may reach beyond the image.
        ground: bool [height, width], the land that the plots take.
        roofs: the boxes of all roofs.
        parking: places for cars, each with the street along its w axis.
    """

    ground: np.ndarray
    plots: list[Box] = field(default_factory=list)
    roofs: list[Box] = field(default_factory=list)
    parking: list[Box] = field(default_factory=list)


def build_settlement(
    canvas: Canvas, roads: list[Road], to_road: np.ndarray, to_water: np.ndarray, sun: Sun, rng: np.random.Generator
) -> Settlement:
    """Line the roads with plots, densely around one or more village centres, and build on each.

    Args:
        canvas: painted on.
        roads: the road network; the first one is the main road.
        to_road: float32 [height, width], signed distance to the nearest road.
        to_water: the same for water.
    """
    settlement = Settlement(ground=np.zeros(canvas.shape, dtype=bool))
    villages = _village_centers(roads, canvas.shape, rng)
    radius = rng.uniform(150, 420)
    closed = np.minimum(to_road - 1, to_water - 6)
    share_of_halls = rng.uniform(0.05, 0.2)
    for road in roads:
        for side in (-1, 1):
            along = rng.uniform(8, 30)
            while along < road.path.distances[-1]:
                with_hall = rng.random() < share_of_halls
                front = rng.uniform(70, 120) if with_hall else rng.uniform(32, 50)
                x, y, heading = road.path.at(along + front / 2)
                along += front + rng.exponential(3)
                in_village = min(math.hypot(x - cx, y - cy) for cx, cy in villages) < radius
                if rng.random() > (0.94 if in_village else 0.05):
                    continue
                depths = rng.uniform(70, 100, 1) if with_hall else rng.uniform(50, 80) * np.array([1, 0.8, 0.65])
                plot = _claim_plot(Box(x, y, front - 2, road.width, heading), side, depths, closed, settlement)
                if plot is not None and with_hall:
                    _build_hall(canvas, plot, -side, settlement, sun, rng)
                elif plot is not None:
                    _build_house(canvas, plot, -side, settlement, sun, rng)
    return settlement


def _claim_plot(street: Box, side: int, depths: np.ndarray, closed: np.ndarray, settlement: Settlement) -> Box | None:
    """Take the deepest of the possible plots beside a stretch of street that touches nothing else.

    Args:
        street: a stretch of road, along its w axis.
        side: of the street's h axis, 1 or -1.
        depths: decreasing.
        closed: float32 [height, width], not positive where roads or water are.
    """
    for depth in depths:
        plot = street.part(0, side * (street.h / 2 + 4 + depth / 2), street.w, depth)
        x, y = plot.samples(9)
        taken = sample(settlement.ground, x, y, outside=0.0)
        if sample(closed, x, y, outside=FAR).min() > 0 and taken.mean() < 0.03:
            window = plot.window(closed.shape)
            if window is not None:
                settlement.ground[window.index] |= plot.distance(window) <= 0
            settlement.plots.append(plot)
            return plot
    return None


def _village_centers(roads: list[Road], shape: tuple[int, int], rng: np.random.Generator) -> list[tuple[float, float]]:
    """One place inside the image on the main road, and in large scenes more places on other roads."""
    centers = []
    for number in range(1 + shape[0] * shape[1] // 600_000):
        points = roads[0 if number == 0 else int(rng.integers(len(roads)))].path.points
        inside = points[((points > 0) & (points < [shape[1], shape[0]])).all(axis=1)]
        x, y = (inside if len(inside) else points)[rng.integers(max(len(inside), 1))]
        centers.append((float(x), float(y)))
    return centers


def _build_house(
    canvas: Canvas, plot: Box, front: int, settlement: Settlement, sun: Sun, rng: np.random.Generator
) -> None:
    """A garden with a house, often a garage with a drive, sometimes a shed.

    Args:
        front: on which side of the plot's h axis the road lies, 1 or -1.
    """
    _paint_ground(canvas, plot, grass_color(rng), rng)
    w, h = min(rng.uniform(17, 30), plot.w - 12), rng.uniform(14, 20)
    setback = rng.uniform(8, 8 + 0.16 * plot.h)
    turn = rng.normal(0, 0.03) + (math.pi / 2 if rng.random() < 0.25 and plot.w > 36 else 0.0)
    shift = rng.uniform(-1, 1) * max(plot.w / 2 - max(w, h) / 2 - 8, 0)
    house = plot.part(shift, front * (plot.h / 2 - setback - h / 2), w, h, turn)
    _raise_roof(canvas, house, rng.random() < 0.85, settlement, sun, rng)

    side = -1 if shift > 0 else 1
    drive_at = side * (plot.w / 2 - 5)
    drive_length = setback + rng.uniform(6, 14)
    if rng.random() < 0.7:
        drive = plot.part(drive_at, front * (plot.h / 2 - drive_length / 2 + 3), 6.5, drive_length + 6)
        _paint_paving(canvas, drive, rng)
        settlement.parking.append(plot.part(drive_at, front * (plot.h / 2 - 7 - rng.uniform(0, 4)), 6, 12, 0.0))
        if rng.random() < 0.55:
            garage = plot.part(drive_at, front * (plot.h / 2 - drive_length - 7), 7.5, rng.uniform(11, 14))
            _raise_roof(canvas, garage, False, settlement, sun, rng)
    if rng.random() < 0.4:
        spot = (rng.uniform(-0.35, 0.35) * plot.w, -front * rng.uniform(0.3, 0.42) * plot.h)
        shed = plot.part(*spot, rng.uniform(6, 9), rng.uniform(5, 7), rng.normal(0, 0.2))
        _raise_roof(canvas, shed, rng.random() < 0.5, settlement, sun, rng)


def _build_hall(
    canvas: Canvas, plot: Box, front: int, settlement: Settlement, sun: Sun, rng: np.random.Generator
) -> None:
    """A farm or a workshop: one or two large roofs around a paved yard with room for cars."""
    _paint_ground(canvas, plot, grass_color(rng), rng)
    yard_depth = rng.uniform(26, 34)
    yard = plot.part(0, front * (plot.h / 2 - yard_depth / 2 + 3), plot.w * 0.9, yard_depth + 4)
    _paint_paving(canvas, yard, rng)
    w, h = plot.w * rng.uniform(0.55, 0.85), min(rng.uniform(24, 40), plot.h - yard_depth - 8)
    hall = plot.part(rng.uniform(-0.05, 0.05) * plot.w, front * (plot.h / 2 - yard_depth - h / 2 - 3), w, h)
    _raise_roof(canvas, hall, rng.random() < 0.4, settlement, sun, rng)
    for place in np.arange(-plot.w * 0.4, plot.w * 0.4, 6.2):
        settlement.parking.append(plot.part(place, front * (plot.h / 2 - yard_depth + 9), 6, 12))


def _raise_roof(
    canvas: Canvas, box: Box, pitched: bool, settlement: Settlement, sun: Sun, rng: np.random.Generator
) -> None:
    """Build if the whole roof fits into the image and onto free ground."""
    if not canvas.is_free(box):
        return
    if pitched:
        paint_pitched_roof(canvas, box, sun, rng)
    else:
        paint_flat_roof(canvas, box, rng)
    canvas.occupy(box, clearance=1.5)
    settlement.roofs.append(box)


def _paint_ground(canvas: Canvas, plot: Box, color: np.ndarray, rng: np.random.Generator) -> None:
    """A lawn with a fence or a low hedge around it."""
    window = plot.window(canvas.shape)
    if window is None:
        return
    distance = plot.distance(window)
    mottling = 0.07 * smooth_noise(distance.shape, 9, rng) + 0.04 * smooth_noise(distance.shape, 3, rng)
    canvas.paint(window, edge(distance, 2) * 0.9, color * (1 + mottling[..., None]))
    fence = (0.27, 0.34, 0.19) if rng.random() < 0.5 else (0.52, 0.49, 0.43)
    canvas.paint(window, edge(np.abs(distance + 1) - 0.5) * rng.uniform(0.2, 0.8), fence)


def _paint_paving(canvas: Canvas, box: Box, rng: np.random.Generator) -> None:
    """A paved drive or yard: part of the class road, but never over a roof or the road itself."""
    window: Window | None = box.window(canvas.shape)
    if window is None:
        return
    distance = np.where(canvas.occupied[window.index] | (canvas.mask[window.index] == ROAD), 9.0, box.distance(window))
    color = np.array([(0.58, 0.56, 0.52), (0.63, 0.57, 0.48), (0.50, 0.49, 0.48)][rng.integers(3)])
    stains = 0.05 * smooth_noise(distance.shape, 8, rng) + 0.03 * rng.standard_normal(distance.shape)
    canvas.paint_shape(window, distance, color * (1 + stains[..., None]) * rng.normal(1, 0.06), ROAD)
