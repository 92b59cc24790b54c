"""Buildings as seen from above: gable, hip and flat roofs."""

import math

import numpy as np

from .canvas import BUILDING, Box, Canvas, edge, smooth_noise
from .light import Sun

_TILES = (
    (0.62, 0.36, 0.27),  # terracotta
    (0.55, 0.31, 0.25),
    (0.68, 0.45, 0.33),
    (0.38, 0.30, 0.27),  # brown
    (0.36, 0.37, 0.39),  # slate
    (0.47, 0.47, 0.48),
    (0.29, 0.29, 0.31),
)
_SHEETS = (
    (0.72, 0.73, 0.74),  # metal and membrane
    (0.60, 0.63, 0.66),
    (0.55, 0.54, 0.51),  # gravel
    (0.45, 0.53, 0.60),
    (0.70, 0.67, 0.60),
    (0.52, 0.40, 0.36),
)


def paint_pitched_roof(canvas: Canvas, box: Box, sun: Sun, rng: np.random.Generator) -> None:
    """A gable or hip roof with its ridge along the longer side, chimneys, and now and then solar panels."""
    if box.w < box.h:
        box = Box(box.cx, box.cy, box.h, box.w, box.theta + math.pi / 2)
    window = box.window(canvas.shape)
    if window is None:
        return
    u, v = box.axes(window)
    from_side, from_end = box.h / 2 - np.abs(v), box.w / 2 - np.abs(u)
    hipped = rng.random() < 0.4
    on_end = hipped & (from_end < from_side)
    cosine, sine = math.cos(box.theta), math.sin(box.theta)
    relief = 0.24 * rng.uniform(0.8, 1.2)
    light = np.where(
        on_end,
        1 + relief * np.sign(u) * sun.falls_on(cosine, sine),
        1 + relief * np.sign(v) * sun.falls_on(-sine, cosine),
    )
    rise = np.where(on_end, from_end, from_side)
    courses = 0.025 * np.sin(rise * (2 * math.pi / 2.6)) + 0.02 * np.sin(u * (2 * math.pi / 3.3))
    weathered = 0.05 * smooth_noise(rise.shape, 7, rng) + 0.03 * rng.standard_normal(rise.shape)
    color = np.array(_TILES[rng.integers(len(_TILES))]) * rng.normal(1, 0.07) * rng.normal(1, 0.02, 3)
    colors = color * (light * (1 + courses + weathered))[..., None]
    distance = box.distance(window)
    canvas.paint_shape(window, distance, colors.astype(np.float32), BUILDING)
    half_ridge = box.w / 2 - (box.h / 2 if hipped else 0)
    ridge = edge(np.maximum(np.abs(v) - 0.4, np.abs(u) - half_ridge))
    canvas.paint(window, ridge * 0.5, np.minimum(color * 1.35, 1))
    canvas.paint(window, edge(np.abs(distance + 0.6) - 0.3) * 0.25, color * 0.6)

    eaves, pitch = rng.uniform(3.5, 6.0), rng.uniform(0.25, 0.45)
    roof = distance <= 0
    canvas.elevation[window.index][roof] = (eaves + pitch * np.clip(rise, 0, None))[roof]
    if box.w > 14 and rng.random() < 0.15:
        _solar_panels(canvas, box, sun)
    for _ in range(int(rng.integers(0, 3))):
        place = box.part(rng.uniform(-0.35, 0.35) * box.w, rng.uniform(-0.2, 0.2) * box.h, 1.8, 1.8)
        _fitting(canvas, place, (0.50, 0.42, 0.38), height=1.2)


def paint_flat_roof(canvas: Canvas, box: Box, rng: np.random.Generator) -> None:
    """A flat roof of gravel, membrane or sheet metal, with a parapet and some machinery."""
    window = box.window(canvas.shape)
    if window is None:
        return
    distance = box.distance(window)
    u, _ = box.axes(window)
    color = np.array(_SHEETS[rng.integers(len(_SHEETS))]) * rng.normal(1, 0.08) * rng.normal(1, 0.02, 3)
    seams = 0.03 * np.sin(u * (2 * math.pi / rng.uniform(3, 6)))
    stains = 0.045 * smooth_noise(distance.shape, 10, rng) + 0.02 * rng.standard_normal(distance.shape)
    canvas.paint_shape(window, distance, (color * (1 + seams + stains)[..., None]).astype(np.float32), BUILDING)
    canvas.paint(window, edge(np.abs(distance + 0.9) - 0.4) * 0.6, np.minimum(color * 1.25, 1))
    canvas.elevation[window.index][distance <= 0] = rng.uniform(2.6, 3.2) if box.w * box.h < 150 else rng.uniform(5, 9)
    if box.w * box.h > 400:
        for _ in range(int(rng.integers(2, 8))):
            place = box.part(*(rng.uniform(-0.38, 0.38, 2) * [box.w, box.h]), *rng.uniform(2.5, 6, 2))
            tone = rng.uniform(0.35, 0.85)
            _fitting(canvas, place, (tone, tone, tone), height=1.5)


def _solar_panels(canvas: Canvas, box: Box, sun: Sun) -> None:
    """A dark array on the sunny side of a pitched roof."""
    sunny = 1 if sun.falls_on(-math.sin(box.theta), math.cos(box.theta)) > 0 else -1
    panels = box.part(0, sunny * box.h / 4, box.w * 0.55, box.h * 0.3)
    window = panels.window(canvas.shape)
    if window is not None:
        u, _ = panels.axes(window)
        color = np.array([0.13, 0.17, 0.28]) * (1 + 0.3 * (np.abs(u % 3 - 1.5) < 0.4))[..., None]
        canvas.paint(window, edge(panels.distance(window)), color)


def _fitting(canvas: Canvas, place: Box, color: tuple[float, float, float], height: float) -> None:
    """A chimney or a machine that stands on a roof."""
    window = place.window(canvas.shape)
    if window is not None:
        distance = place.distance(window)
        canvas.paint(window, edge(distance), color)
        on_roof = (distance <= 0) & (canvas.mask[window.index] == BUILDING)
        canvas.elevation[window.index][on_roof] += height
