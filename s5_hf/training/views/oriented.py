"""Views of an image with its oriented boxes: scale, crop, rotations and flips, on the host.

Source: S5 (arXiv 2508.12409), detection: images are resized to fit the model's size and flipped in both directions;
crops and rotations are additions. Pillow works on uint8 pixels; boxes undergo the same transform as the pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...imaging.decoded_pixels import image_kind, image_pixels
from ...modeling.oriented_boxes import (
    horizontal_to_oriented_boxes,
    minimum_area_rectangles,
    oriented_boxes_to_corners,
    oriented_boxes_to_horizontal,
)
from ...modeling.rotated_iou import elementwise_rotated_iou
from ...modeling.value_scaling import ValueScaling
from .weak import resize, sample_seed, uniform_integer

Map = np.ndarray
"""An affine transform, float64 `(3, 3)`, of homogeneous pixel coordinates; pixel (0, 0) has its centre at
(0.5, 0.5)."""


# Numbers with defaults, as in `StrongAugmentation`, but of other pixels: one image with its boxes on the host.
@dataclass(frozen=True)
class OrientedView:
    """Random scale, crop or padding, flips, quarter turns and rotations of an image and its boxes.

    Attributes:
        size: side of the square view.
        image_scale: factor by which images are resized; `None` makes their longer side `size`.
        scale_range: range of an additional random factor.
        object_crop_probability: of a crop that contains the centre of a random object, if there is one; other crops
            are placed anywhere.
        flip_probability: of each of the two flips.
        quarter_turn_probability: of a rotation by 90, 180 or 270 degrees, all equally likely.
        rotation_probability: of a rotation about the centre of the view.
        rotation_degrees: largest angle of a rotation, in either direction.
        least_visible_share: boxes are dropped if a crop leaves less than this share of their visible area.
        fill: value of each channel outside the image, 0 to 255.
    """

    size: int
    image_scale: float | None = None
    scale_range: tuple[float, float] = (1.0, 1.0)
    object_crop_probability: float = 0.0
    flip_probability: float = 0.5
    quarter_turn_probability: float = 0.0
    rotation_probability: float = 0.0
    rotation_degrees: float = 180.0
    least_visible_share: float = 0.7
    fill: tuple[int, ...] = (124, 116, 104)

    def __call__(
        self, pixels: np.ndarray, boxes: torch.Tensor, generator: torch.Generator
    ) -> tuple[np.ndarray, tuple[int, int], torch.Tensor, torch.Tensor]:
        """Make the view of an image and its boxes.

        Args:
            pixels: uint8 `(height, width, channels)`.
            boxes: float `(n, 5)` in pixels of the image; may be empty.
            generator: the source of all random numbers.

        Returns:
            uint8 image `(size, size, channels)`; height and width of the image in its top left corner (the rest is
            padding); canonical float32 boxes `(m, 5)` that remain visible; their indices `(m,)` in `boxes`. Boxes may
            extend beyond the view, as in DOTA's tiles.
        """
        height, width = pixels.shape[:2]
        scaled = self._scaled_size(height, width, generator)
        top, left = self._corner(scaled, boxes, (height, width), generator)
        rows, columns = (min(side, self.size) for side in scaled)
        angle = self._draw_angle(generator)
        to_view = shift(-left, -top) @ scaling(scaled[1] / width, scaled[0] / height)
        if angle:
            to_view = rotation(angle, columns / 2, rows / 2) @ to_view
            seen = self._turned(pixels, scaled, to_view, (rows, columns))
        else:
            low_x, low_y, high_x, high_y = (
                left * width / scaled[1],
                top * height / scaled[0],
                min((left + columns) * width / scaled[1], width),
                min((top + rows) * height / scaled[0], height),
            )
            seen = resize(pixels, (columns, rows), (low_x, low_y, high_x, high_y), Image.Resampling.BILINEAR)
        seen, mirrored = self._mirrored(seen, generator)
        rows, columns = seen.shape[:2]
        view = np.empty((self.size, self.size, pixels.shape[2]), dtype=np.uint8)
        view[:] = np.asarray(self.fill, dtype=np.uint8)
        view[:rows, :columns] = seen
        moved = move_boxes(boxes, mirrored @ to_view)
        kept = remaining(boxes, moved, (height, width), (rows, columns), self.least_visible_share)
        return view, (rows, columns), moved[kept].float(), kept

    def _scaled_size(self, height: int, width: int, generator: torch.Generator) -> tuple[int, int]:
        factor = self.size / max(height, width) if self.image_scale is None else self.image_scale
        low, high = self.scale_range
        if low != high:
            factor *= low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()
        return max(1, round(height * factor)), max(1, round(width * factor))

    def _corner(
        self, scaled: tuple[int, int], boxes: torch.Tensor, original: tuple[int, int], generator: torch.Generator
    ) -> tuple[int, int]:
        """Top and left of the crop, in pixels of the scaled image."""
        low, high = (0, 0), tuple(max(0, side - self.size) for side in scaled)
        if self._shows_an_object(boxes, generator):
            x, y = boxes[uniform_integer(0, len(boxes) - 1, generator), :2].tolist()
            centre = (y * scaled[0] / original[0], x * scaled[1] / original[1])
            low = tuple(
                min(max(0, math.ceil(place - self.size)), most) for place, most in zip(centre, high, strict=True)
            )
            high = tuple(
                min(max(least, math.floor(place)), most) for place, least, most in zip(centre, low, high, strict=True)
            )
        top, left = (uniform_integer(least, most, generator) for least, most in zip(low, high, strict=True))
        return top, left

    def _shows_an_object(self, boxes: torch.Tensor, generator: torch.Generator) -> bool:
        if not len(boxes) or not self.object_crop_probability:
            return False
        return bool(torch.rand((), generator=generator) < self.object_crop_probability)

    def _draw_angle(self, generator: torch.Generator) -> float:
        """Radians, clockwise on the screen; 0 for no rotation."""
        if not self.rotation_probability or torch.rand((), generator=generator) >= self.rotation_probability:
            return 0.0
        share = 2 * torch.rand((), generator=generator, dtype=torch.float64).item() - 1
        return math.radians(share * self.rotation_degrees)

    def _turned(
        self, pixels: np.ndarray, scaled: tuple[int, int], to_view: Map, canvas: tuple[int, int]
    ) -> np.ndarray:
        """A rotated view of size `canvas` (rows, columns). Images are shrunk first: only resizing smooths."""
        if scaled[0] < pixels.shape[0]:
            to_view = to_view @ scaling(pixels.shape[1] / scaled[1], pixels.shape[0] / scaled[0])
            whole = (0, 0, pixels.shape[1], pixels.shape[0])
            pixels = resize(pixels, (scaled[1], scaled[0]), whole, Image.Resampling.BILINEAR)
        from_view = np.linalg.inv(to_view)[:2].flatten().tolist()
        channels = [
            Image.fromarray(np.ascontiguousarray(channel)).transform(
                (canvas[1], canvas[0]),
                Image.Transform.AFFINE,
                from_view,
                resample=Image.Resampling.BILINEAR,
                fillcolor=fill,
            )
            for channel, fill in zip(pixels.transpose(2, 0, 1), self.fill, strict=True)
        ]
        return np.stack([np.asarray(channel) for channel in channels], axis=2)

    def _mirrored(self, pixels: np.ndarray, generator: torch.Generator) -> tuple[np.ndarray, Map]:
        """The pixels after flips and quarter turns, and their transform."""
        total = np.eye(3)
        for axis in (1, 0):
            if torch.rand((), generator=generator) < self.flip_probability:
                pixels = np.flip(pixels, axis)
                total = flip(axis, pixels.shape[axis]) @ total
        if self.quarter_turn_probability and torch.rand((), generator=generator) < self.quarter_turn_probability:
            for _ in range(uniform_integer(1, 3, generator)):
                total = quarter_turn(pixels.shape[1]) @ total
                pixels = np.rot90(pixels)
        return pixels, total


def shift(x: float, y: float) -> Map:
    """Translation by x and y pixels."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def scaling(x: float, y: float) -> Map:
    """Scaling by the factors x and y."""
    return np.diag([x, y, 1.0])


def rotation(angle: float, x: float, y: float) -> Map:
    """Rotation about (x, y) by an angle in radians, clockwise on the screen."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return shift(x, y) @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ shift(-x, -y)


def flip(axis: int, side: int) -> Map:
    """Reflection along an array axis (0: rows, 1: columns) of length `side`."""
    return shift(0, side) @ scaling(1, -1) if axis == 0 else shift(side, 0) @ scaling(-1, 1)


def quarter_turn(columns: int) -> Map:
    """The transform of `numpy.rot90`: 90 degrees counter-clockwise on the screen, for an image of this width."""
    return np.array([[0, 1, 0], [-1, 0, columns], [0, 0, 1]], dtype=np.float64)


def move_boxes(boxes: torch.Tensor, moved_by: Map) -> torch.Tensor:
    """Canonical float64 boxes `(n, 5)` after a transform.

    If rounding of the size makes its two factors differ, a box becomes the smallest rectangle around its corners.
    """
    corners = oriented_boxes_to_corners(boxes.double())
    matrix = torch.from_numpy(moved_by)
    return minimum_area_rectangles(corners @ matrix[:2, :2].T + matrix[:2, 2])


def remaining(
    before: torch.Tensor,
    after: torch.Tensor,
    image_size: tuple[int, int],
    view_size: tuple[int, int],
    least_share: float,
) -> torch.Tensor:
    """Indices of the boxes of which a view shows enough.

    Args:
        before, after: the boxes `(n, 5)` in the image and in the view.
        image_size, view_size: height and width.
        least_share: a box is kept if at least this share of its area inside the image is inside the view.
    """
    shown_before, shown_after = (
        share_inside(boxes, size) for boxes, size in ((before, image_size), (after, view_size))
    )
    # The tolerance is for rounding of the areas: a box that was not cut is kept.
    return ((shown_after > 0) & (shown_after >= (least_share - 1e-6) * shown_before)).nonzero().flatten()


def share_inside(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The share `(n,)` of the area of boxes `(n, 5)` that lies inside an image (height, width), float64."""
    image = horizontal_to_oriented_boxes(torch.tensor([[0, 0, size[1], size[0]]], dtype=torch.float64))
    return elementwise_rotated_iou(boxes.double(), image.expand(len(boxes), 5), mode="iof")


@dataclass(frozen=True)
class OrientedSampleView:
    """Converts a decoded sample to the tensors of a batch row; can be pickled, so it runs in workers.

    Attributes:
        view: of image and boxes.
        seed: of the run.
        task: name, for seeds and messages.
        labels: class names.
        channels: that images must have.
        least_side: box sides, in pixels of the file, are increased to this if shorter (1 for DIOR-R, officially).
        least_hull_side: boxes whose horizontal hull is narrower, in pixels of the view, are dropped (2 for DOTA).
        scaling: of the values of images that are not of 8 bits.
    """

    view: OrientedView
    seed: int
    task: str
    labels: tuple[str, ...]
    channels: int = 3
    least_side: float = 1.0
    least_hull_side: float = 0.0
    scaling: ValueScaling | None = None

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> dict[str, torch.Tensor]:
        """The row of a sample in an epoch.

        Returns:
            `image` uint8 `(channels, size, size)`, `size` int64 `(2,)` (height and width without padding), `boxes`
            float32 `(n, 5)`, `classes` int64 `(n,)`.

        Raises:
            ValueError: naming the image, if it or its boxes are missing, or channels, a box or a class are invalid.
        """
        pixels, boxes, classes = read_sample(sample, self.task, self.labels, self.channels, self.scaling)
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:4].clamp(min=self.least_side), boxes[:, 4:]], dim=1)
        name = str(sample.get("id", "a sample"))
        generator = torch.Generator().manual_seed(sample_seed(self.seed, self.task, epoch, name))
        view, size, seen, kept = self.view(pixels, boxes, generator)
        left, top, right, bottom = oriented_boxes_to_horizontal(seen).unbind(dim=1)
        large = torch.minimum(right - left, bottom - top) >= self.least_hull_side
        return {
            "image": torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1))),
            "size": torch.tensor(size),
            "boxes": seen[large],
            "classes": classes[kept][large],
        }


def read_sample(
    sample: Mapping[str, Any],
    task: str,
    labels: Sequence[str],
    channels: int,
    scaling: ValueScaling | None = None,
) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """The checked pixels, float64 boxes `(n, 5)` and int64 class ids `(n,)` of a sample.

    Raises:
        ValueError: naming the image (its file, if known) and the object.
    """
    image, objects = sample.get("image"), sample.get("objects")
    name = getattr(image, "filename", "") or repr(str(sample.get("id", "a sample")))
    if image is None or objects is None:
        missing = "image" if image is None else "objects"
        raise ValueError(f"the {task} sample {name} has no {missing}; its columns: {', '.join(sample)}")
    found, _ = image_kind(image)
    if found != channels:
        raise ValueError(f"the {task} image {name} has {found} channels, the model takes {channels}")
    pixels = image_pixels(image, scaling)
    boxes = torch.as_tensor(objects["obb"], dtype=torch.float64).reshape(-1, 5)
    classes = torch.as_tensor(objects["category"], dtype=torch.int64)
    if len(classes) != len(boxes):
        raise ValueError(f"the {task} image {name} has {len(boxes)} boxes and {len(classes)} classes")
    bad = (~torch.isfinite(boxes).all(dim=1) | (boxes[:, 2:4] < 0).any(dim=1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"box {bad[0]} of the {task} image {name} is {boxes[bad[0]].tolist()}: (cx, cy, w, h, theta) must be "
            "finite, w and h not negative"
        )
    wrong = ((classes < 0) | (classes >= len(labels))).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(
            f"object {wrong[0]} of the {task} image {name} has the class {classes[wrong[0]].item()}, but there are "
            f"{len(labels)}: expected 0..{len(labels) - 1}"
        )
    return pixels, boxes, classes
