"""Cars on the roads, in drives and on yards."""

import math

import numpy as np

from .canvas import CAR, ROAD, Box, Canvas, edge
from .roads import Road

# Tables of colours look alike in every module of this folder.
_PAINTS = (
    (0.90, 0.90, 0.89),
    (0.78, 0.79, 0.80),
    (0.62, 0.63, 0.65),
    (0.42, 0.43, 0.45),
    (0.16, 0.16, 0.17),
    (0.11, 0.11, 0.12),
    (0.62, 0.15, 0.13),
    (0.19, 0.28, 0.50),
    (0.26, 0.36, 0.30),
)


def place_cars(canvas: Canvas, roads: list[Road], parking: list[Box], rng: np.random.Generator) -> list[Box]:
    """Park cars and send others along the roads, on the right-hand side; return their boxes."""
    cars = []
    filling = rng.uniform(0.35, 0.75)
    for place in parking:
        if rng.random() < filling:
            length, width = _size(rng)
            turn = math.pi / 2 + rng.normal(0, 0.05) + (math.pi if rng.random() < 0.5 else 0)
            cars.append(place.part(*rng.normal(0, 0.3, 2), length, width, turn))
    traffic = rng.uniform(90, 200)
    for road in roads:
        spacing = traffic * (1 if road.marked else 1.6)
        for side in (-1, 1):
            along = rng.exponential(spacing)
            while along < road.path.distances[-1]:
                x, y, heading = road.path.at(along)
                offset = side * min(road.width / 4, 4.0) + rng.normal(0, 0.3)
                length, width = _size(rng)
                place = (x - offset * math.sin(heading), y + offset * math.cos(heading))
                theta = heading + (0 if side > 0 else math.pi) + rng.normal(0, 0.02)
                cars.append(Box(*place, length, width, theta))
                along += 14 + rng.exponential(spacing)
    return [car for car in cars if _paint_car(canvas, car, rng)]


def _size(rng: np.random.Generator) -> tuple[float, float]:
    """Length and width in pixels: cars, and a few vans."""
    if rng.random() < 0.12:
        return rng.uniform(10.5, 13), rng.uniform(4.1, 4.6)
    return rng.uniform(8.2, 10), rng.uniform(3.6, 4.2)


def _paint_car(canvas: Canvas, car: Box, rng: np.random.Generator) -> bool:
    """Paint a car if it stands free, inside the image and on paved ground; say whether it does."""
    window = car.window(canvas.shape)
    if window is None or not canvas.is_free(car):
        return False
    distance = car.distance(window)
    if (canvas.mask[window.index][distance <= 0] != ROAD).any():
        return False
    u, v = car.axes(window)
    color = np.array(_PAINTS[rng.choice(len(_PAINTS), p=[0.2, 0.17, 0.13, 0.12, 0.11, 0.1, 0.07, 0.06, 0.04])])
    corner = np.hypot(np.maximum(np.abs(u) - car.w / 2 + 1.2, 0), np.maximum(np.abs(v) - car.h / 2 + 1.2, 0)) - 1.2
    canvas.paint(window, edge(np.maximum(distance, corner)), color * rng.normal(1, 0.05))
    canvas.mask[window.index][distance <= 0] = CAR
    glass = (0.14, 0.16, 0.19)
    for center, half in ((0.16, 0.075), (-0.32, 0.05)):
        pane = np.maximum(np.abs(u - center * car.w) - half * car.w, np.abs(v) - car.h * 0.38)
        canvas.paint(window, edge(pane) * 0.8, glass)
    canvas.elevation[window.index][distance <= 0] = 1.5
    canvas.occupy(car, clearance=2.0)
    return True
