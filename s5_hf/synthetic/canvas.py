"""What a scene is painted on, and the few shapes that everything in it is made of.

Shapes are given by their signed distance, in pixels and negative inside. The distance gives a smooth edge in the
image and a hard one in the mask, which therefore holds pure class ids.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

SCENE_LABELS = ("field", "road", "building", "water", "tree", "car")
FIELD, ROAD, BUILDING, WATER, TREE, CAR = range(len(SCENE_LABELS))

METRES_PER_PIXEL = 0.5

Rgb = tuple[float, float, float] | np.ndarray


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels, with the coordinates of their centres: x as [1, columns], y as [rows, 1]."""

    index: tuple[slice, slice]
    x: np.ndarray
    y: np.ndarray


def window_around(shape: tuple[int, int], left: float, top: float, right: float, bottom: float) -> Window | None:
    """The pixels of an image of `shape` inside the given bounds, or None if there are none."""
    first_row, last_row = max(math.floor(top), 0), min(math.ceil(bottom), shape[0])
    first_column, last_column = max(math.floor(left), 0), min(math.ceil(right), shape[1])
    if first_row >= last_row or first_column >= last_column:
        return None
    x = np.arange(first_column, last_column, dtype=np.float32)[None, :] + np.float32(0.5)
    y = np.arange(first_row, last_row, dtype=np.float32)[:, None] + np.float32(0.5)
    return Window((slice(first_row, last_row), slice(first_column, last_column)), x, y)


@dataclass(frozen=True)
class Box:
    """An oriented rectangle (cx, cy, w, h, theta); `SyntheticScene` states the convention."""

    cx: float
    cy: float
    w: float
    h: float
    theta: float

    def point(self, u: float, v: float) -> tuple[float, float]:
        """The image position of a point given along the w axis and the h axis from the centre."""
        cosine, sine = math.cos(self.theta), math.sin(self.theta)
        return self.cx + u * cosine - v * sine, self.cy + u * sine + v * cosine

    def part(self, u: float, v: float, w: float, h: float, turn: float = 0.0) -> "Box":
        """A box placed in this box's own axes."""
        return Box(*self.point(u, v), w, h, self.theta + turn)

    def samples(self, per_side: int) -> tuple[np.ndarray, np.ndarray]:
        """The x and y of a regular grid of points from corner to corner."""
        steps = np.linspace(-0.5, 0.5, per_side)
        u, v = (grid.ravel() for grid in np.meshgrid(steps * self.w, steps * self.h))
        cosine, sine = math.cos(self.theta), math.sin(self.theta)
        return self.cx + u * cosine - v * sine, self.cy + u * sine + v * cosine

    def lies_inside(self, shape: tuple[int, int]) -> bool:
        """Whether all four corners lie at least one pixel inside an image of `shape`."""
        x, y = self.samples(2)
        return bool(x.min() >= 1 and y.min() >= 1 and x.max() <= shape[1] - 1 and y.max() <= shape[0] - 1)

    def window(self, shape: tuple[int, int], margin: float = 1.0) -> Window | None:
        """The pixels in and around the box."""
        x, y = self.samples(2)
        return window_around(shape, x.min() - margin, y.min() - margin, x.max() + margin, y.max() + margin)

    def axes(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The coordinates of the window's pixels along the w axis and the h axis, from the centre."""
        cosine, sine = math.cos(self.theta), math.sin(self.theta)
        dx, dy = window.x - self.cx, window.y - self.cy
        return dx * cosine + dy * sine, dy * cosine - dx * sine

    def distance(self, window: Window) -> np.ndarray:
        """Signed distance of the window's pixels to the outline, measured along the axes."""
        u, v = self.axes(window)
        return np.maximum(np.abs(u) - self.w / 2, np.abs(v) - self.h / 2)

    def normalized(self) -> tuple[float, float, float, float, float]:
        """The same rectangle with w >= h and theta in [-pi/2, pi/2)."""
        w, h, theta = self.w, self.h, self.theta
        if w < h:
            w, h, theta = h, w, theta + math.pi / 2
        return self.cx, self.cy, w, h, (theta + math.pi / 2) % math.pi - math.pi / 2


@dataclass
class Canvas:
    """The scene while it is painted.

    Attributes:
        image: float32 [height, width, 3], colours as seen in full sun, 0 to 1.
        mask: uint8 [height, width], class ids.
        elevation: float32 [height, width], metres above the ground; the shadows come from it.
        occupied: bool [height, width], roofs and cars with a little room around them.
    """

    image: np.ndarray
    mask: np.ndarray
    elevation: np.ndarray
    occupied: np.ndarray

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> "Canvas":
        return cls(
            image=np.zeros((*shape, 3), dtype=np.float32),
            mask=np.full(shape, FIELD, dtype=np.uint8),
            elevation=np.zeros(shape, dtype=np.float32),
            occupied=np.zeros(shape, dtype=bool),
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self.mask.shape[0], self.mask.shape[1]

    def paint(self, window: Window, coverage: np.ndarray, color: Rgb) -> None:
        """Mix a colour, one or one per pixel, into the image with a weight of 0 to 1 per pixel."""
        view = self.image[window.index]
        view += coverage[..., None] * (np.asarray(color, dtype=np.float32) - view)

    def paint_shape(self, window: Window, distance: np.ndarray, color: Rgb, class_id: int) -> None:
        """Paint the inside of a shape, in the image with a smooth edge and in the mask with a hard one."""
        self.paint(window, edge(distance), color)
        self.mask[window.index][distance <= 0] = class_id

    def is_free(self, box: Box) -> bool:
        """Whether a box lies inside the image and on no roof or car."""
        if not box.lies_inside(self.shape):
            return False
        window = box.window(self.shape)
        return window is not None and not self.occupied[window.index][box.distance(window) <= 1.0].any()

    def occupy(self, box: Box, clearance: float) -> None:
        """Keep later things off the box and off a strip of `clearance` pixels around it."""
        window = box.window(self.shape, margin=clearance + 1)
        if window is not None:
            self.occupied[window.index] |= box.distance(window) <= clearance


def edge(distance: np.ndarray, softness: float = 1.0) -> np.ndarray:
    """Signed distance -> coverage: 1 inside, 0 outside, and a ramp `softness` pixels wide between."""
    return np.clip(0.5 - distance / softness, 0.0, 1.0)


def smooth_noise(shape: tuple[int, int], cell: float, rng: np.random.Generator) -> np.ndarray:
    """Random hills about `cell` pixels across: float32 [height, width], mean near 0, deviation near 1."""
    rows, columns = (math.ceil(side / cell) + 4 for side in shape)
    knots = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    top, left = rng.uniform(1.0, 2.0, 2)
    box = (left, top, left + shape[1] / cell, top + shape[0] / cell)
    # Bicubic interpolation between independent knots lowers the deviation to about 0.75.
    return np.asarray(knots.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box)) / np.float32(0.75)


def sample(field: np.ndarray, x: np.ndarray, y: np.ndarray, outside: float) -> np.ndarray:
    """The values of a [height, width] field at image positions; `outside` where these leave the image."""
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    inside = (column >= 0) & (row >= 0) & (column < field.shape[1]) & (row < field.shape[0])
    values = np.full(np.shape(x), outside, dtype=np.float32)
    values[inside] = field[row[inside], column[inside]]
    return values
