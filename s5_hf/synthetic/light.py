"""Sunlight: the direction it comes from, cast shadows, and the haze and noise of the camera."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .canvas import METRES_PER_PIXEL, smooth_noise


@dataclass(frozen=True)
class Sun:
    """Where the sun stands: the unit vector (x, y) towards it on the ground, and its elevation in radians.

    North is up, and the scene lies north of the tropics: the sun stands in the south, shadows fall northwards.
    """

    x: float
    y: float
    elevation: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Sun":
        azimuth = math.pi / 2 + rng.uniform(-1.0, 1.0)
        return cls(math.cos(azimuth), math.sin(azimuth), rng.uniform(0.6, 1.0))

    def falls_on(self, x: float, y: float) -> float:
        """How squarely the sun meets a slope that falls towards the unit vector (x, y): -1 to 1."""
        return self.x * x + self.y * y


def cast_shadows(elevation: np.ndarray, sun: Sun) -> np.ndarray:
    """How far each pixel lies in shadow.

    Args:
        elevation: float32 [height, width], metres above the ground.
        sun: where the light comes from.

    Returns:
        float32 [height, width] from 0, full sun, to 1.
    """
    height, width = elevation.shape
    drop = math.tan(sun.elevation) * METRES_PER_PIXEL
    blocked = np.zeros_like(elevation)
    for step in range(1, math.ceil(float(elevation.max()) / drop) + 1):
        dx, dy = round(step * sun.x), round(step * sun.y)
        if abs(dx) >= width or abs(dy) >= height:
            break
        here = (_overlap(height, -dy), _overlap(width, -dx))
        there = (_overlap(height, dy), _overlap(width, dx))
        excess = elevation[there] - elevation[here]
        excess -= np.float32(step * drop)
        np.maximum(blocked[here], excess, out=blocked[here])
    return np.clip(blocked / 0.8, 0, 1)


def _overlap(length: int, shift: int) -> slice:
    """The part of an axis that stays on it when `shift` is taken away from its start or its end."""
    return slice(max(shift, 0), length + min(shift, 0))


def expose(image: np.ndarray, shadow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn colours in full sun into a photograph.

    Args:
        image: float32 [height, width, 3], 0 to 1.
        shadow: float32 [height, width], from `cast_shadows`.

    Returns:
        uint8 [height, width, 3]: shaded with bluish skylight, unevenly lit, slightly hazy, blurred and noisy.
    """
    height, width = shadow.shape
    skylight = np.array([0.46, 0.50, 0.58], dtype=np.float32) * np.float32(rng.uniform(0.85, 1.15))
    lit = image * (1 - shadow[..., None] * (1 - skylight))
    slope_x, slope_y = rng.normal(0, 0.05, 2)
    falloff = slope_x * np.linspace(-1, 1, width)[None, :] + slope_y * np.linspace(-1, 1, height)[:, None]
    lit *= (1 + falloff + 0.02 * smooth_noise((height, width), max(height, width) / 2, rng)).astype(np.float32)[
        ..., None
    ]
    lit *= (rng.uniform(0.88, 1.14) * rng.normal(1.0, 0.03, 3)).astype(np.float32)
    haze = np.float32(rng.uniform(0.0, 0.12))
    lit += haze * (np.array([0.66, 0.70, 0.76], dtype=np.float32) - lit)
    sharp = Image.fromarray((np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8))
    blurred = np.asarray(sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.45, 0.8))), dtype=np.float32)
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(rng.uniform(1.2, 3.2))
    grain = grain + rng.standard_normal((height, width, 3), dtype=np.float32)
    return np.clip(blurred + grain + 0.5, 0, 255).astype(np.uint8)


def vary_light(image: np.ndarray, variety: float, rng: np.random.Generator) -> np.ndarray:
    """Change contrast, colour cast, haze and saturation, as another sensor, season or weather would.

    Args:
        image: uint8 [height, width, 3].
        variety: how far photographs may differ, from 0, not at all, to 1, which gives some of them false colours.
        rng: of this photograph.

    Returns:
        uint8 [height, width, 3].
    """
    lit = (image.astype(np.float32) / 255) ** np.float32(np.exp(rng.normal(0, 0.3 * variety)))
    lit *= np.exp(rng.normal(0, 0.22 * variety, 3)).astype(np.float32)
    haze = np.float32(rng.uniform(0, 0.35 * variety))
    lit += haze * (np.array([0.66, 0.70, 0.76], dtype=np.float32) - lit)
    grey = lit.mean(axis=2, keepdims=True)
    lit = grey + (lit - grey) * np.float32(np.exp(rng.normal(0, 0.4 * variety)))
    return (np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8)
