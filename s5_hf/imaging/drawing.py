"""Pictures of predictions: class colours, overlays and oriented boxes.

Only numpy and Pillow are used. Every function returns a new RGB image and leaves its inputs as they were.

Pixel coordinates are continuous: an image spans [0, width] x [0, height], x to the right and y downwards, and the
centre of the pixel in row r and column c lies at (c + 0.5, r + 0.5).
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from ..dataset_builders.oriented_geometry import boxes_to_polygons
from .palettes import IGNORE_COLOR, Color, Palette, as_color, default_palette, palette_array

__all__ = ["as_rgb", "colorize_mask", "draw_oriented_boxes", "oriented_box_corners", "overlay_mask", "text_font"]


def colorize_mask(mask: np.ndarray, palette: Palette, ignore_index: int | None = None) -> Image.Image:
    """Draw a class mask in the colours of its classes.

    Args:
        mask: integers `(height, width)`, each a class id below `len(palette)` or `ignore_index`.
        palette: one (red, green, blue) per class, values 0 to 255.
        ignore_index: the id without a class (often 255 or -1), drawn in `IGNORE_COLOR`.

    Raises:
        TypeError: the mask is not an integer array, or an argument has the wrong type.
        ValueError: the mask is not two-dimensional, is empty, or holds an id that the palette does not cover.
    """
    colors, ignored = _mask_colors(mask, palette, ignore_index)
    colors[ignored] = IGNORE_COLOR
    return Image.fromarray(colors)


def overlay_mask(
    image: Image.Image, mask: np.ndarray, palette: Palette, alpha: float = 0.5, ignore_index: int | None = None
) -> Image.Image:
    """Lay the class colours over the image; ignored pixels show the bare image.

    Args:
        image: any Pillow image; it is converted to RGB.
        mask: integers `(height, width)` of the image's size, as in `colorize_mask`.
        palette: one (red, green, blue) per class, values 0 to 255.
        alpha: weight of the colours, from 0 (only the image) to 1 (only the colours).
        ignore_index: the id without a class.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: image and mask differ in size, alpha leaves [0, 1], or the mask is invalid as in `colorize_mask`.
    """
    base = np.asarray(as_rgb(image, "image"))
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    colors, ignored = _mask_colors(mask, palette, ignore_index)
    if colors.shape != base.shape:
        raise ValueError(
            f"mask and image must have the same size, got a mask of {mask.shape[0]} x {mask.shape[1]} "
            f"and an image of {base.shape[0]} x {base.shape[1]} (height x width)"
        )
    mixed = np.rint(base * (1.0 - alpha) + colors * np.float32(alpha)).astype(np.uint8)
    mixed[ignored] = base[ignored]
    return Image.fromarray(mixed)


def _mask_colors(mask: np.ndarray, palette: Palette, ignore_index: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The colour of each pixel, uint8 `(height, width, 3)`, and where the mask is ignored, bool `(height, width)`."""
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"mask must be a numpy array of class ids, got {type(mask).__name__}")
    if mask.dtype.kind not in "biu":
        raise TypeError(f"mask must hold integers, got dtype {mask.dtype}")
    if mask.ndim != 2 or mask.size == 0:
        raise ValueError(f"mask must have the shape [height, width] with at least one pixel, got {list(mask.shape)}")
    table = palette_array(palette)
    ignored = np.zeros(mask.shape, dtype=bool) if ignore_index is None else mask == ignore_index
    unknown = ~ignored & ((mask < 0) | (mask >= len(table)))
    if unknown.any():
        found = ", ".join(str(value) for value in np.unique(mask[unknown])[:5])
        raise ValueError(
            f"mask holds class ids outside the palette of {len(table)} colours: {found}. "
            f"Expected 0 to {len(table) - 1}"
            + ("" if ignore_index is None else f" or the ignore index {ignore_index}")
        )
    return table[np.where(ignored, 0, mask).astype(np.intp)], ignored


def oriented_box_corners(boxes: ArrayLike) -> np.ndarray:
    """The corners of oriented boxes.

    Args:
        boxes: `(n, 5)` as (cx, cy, w, h, theta): pixels, and radians. The w axis points along (cos theta, sin theta),
            the h axis along (-sin theta, cos theta), with y downwards.

    Returns:
        float64 `(n, 4, 2)` (x, y), in order around the box: centre + w/2 * (w axis) + h/2 * (h axis) with the signs
        (-, -), (+, -), (+, +), (-, +).

    Raises:
        ValueError: the shape is not `(n, 5)`, a value is not finite, or a side is negative.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.size == 0:
        boxes = boxes.reshape(0, 5)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(f"boxes must have the shape [N, 5] (cx, cy, w, h, theta), got {list(boxes.shape)}")
    if not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be finite, but row {np.argwhere(~np.isfinite(boxes))[0, 0]} is not")
    if (boxes[:, 2:4] < 0).any():
        row = int(np.argwhere(boxes[:, 2:4] < 0)[0, 0])
        raise ValueError(f"box sides must not be negative, got w={boxes[row, 2]}, h={boxes[row, 3]} in row {row}")
    return boxes_to_polygons(boxes).reshape(-1, 4, 2)


def draw_oriented_boxes(
    image: Image.Image,
    boxes: ArrayLike,
    labels: ArrayLike | None = None,
    palette: Palette | None = None,
    width: int = 2,
    scores: ArrayLike | None = None,
    label_names: Sequence[str] | None = None,
) -> Image.Image:
    """Draw the outlines of oriented boxes, and beside each its class name and score where these are given.

    Args:
        image: any Pillow image; it is converted to RGB.
        boxes: `(n, 5)` as `oriented_box_corners` takes them. Boxes may reach beyond the image.
        labels: integers `(n,)`, the class of each box, which chooses its colour. All 0 if left out.
        palette: one (red, green, blue) per class; `default_palette` if left out.
        width: of the lines, in pixels, at least 1.
        scores: `(n,)`, written with two decimals.
        label_names: the name of each class; needs `labels`.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: lengths differ, a label has no colour or name, or a box is invalid.
    """
    canvas = as_rgb(image, "image").copy()
    corners = oriented_box_corners(boxes)
    if width < 1:
        raise ValueError(f"width must be at least 1 pixel, got {width}")
    if label_names is not None and labels is None:
        raise ValueError("label_names were given without labels: pass the class of each box as labels")
    classes = np.zeros(len(corners), dtype=np.int64) if labels is None else np.asarray(labels)
    if classes.size and classes.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, got dtype {classes.dtype}")
    values = None if scores is None else np.asarray(scores, dtype=np.float64)
    for name, array in (("labels", classes), ("scores", values)):
        if array is not None and array.shape != (len(corners),):
            raise ValueError(f"{name} must hold one value for each of the {len(corners)} boxes, got {array.shape}")
    if classes.size and classes.min() < 0:
        raise ValueError(f"labels must not be negative, got {classes.min()}")
    count = int(classes.max()) + 1 if classes.size else 0
    colors = palette_array(default_palette(max(count, 1)) if palette is None else palette)
    for name, length in (
        ("palette", len(colors)),
        ("label_names", count if label_names is None else len(label_names)),
    ):
        if count > length:
            raise ValueError(f"label {count - 1} needs {count} entries in {name}, got {length}")

    draw = ImageDraw.Draw(canvas)
    for index, outline in enumerate(corners):
        color = as_color(colors[classes[index]])
        # Pillow counts from the centre of the first pixel, and would cut the fraction off.
        points = [(int(x), int(y)) for x, y in np.rint(outline - 0.5)]
        # Drawing the first side twice gives the first corner a joint too.
        draw.line([*points, *points[:2]], fill=color, width=width, joint="curve")
        words = [] if label_names is None else [label_names[classes[index]]]
        words += [] if values is None else [f"{values[index]:.2f}"]
        if words:
            _draw_tag(draw, " ".join(words), outline[outline[:, 1].argmin()], color, canvas.size)
    return canvas


def _draw_tag(
    draw: ImageDraw.ImageDraw, text: str, anchor: np.ndarray, color: Color, image_size: tuple[int, int]
) -> None:
    """Write text on a plate of the given colour just above the anchor, moved to lie inside the image."""
    font = text_font(12)
    left, top, right, bottom = font.getbbox(text)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(round(anchor[0] - width / 2), 0), max(image_size[0] - width, 0))
    y = min(max(round(anchor[1] - height - 2), 0), max(image_size[1] - height, 0))
    draw.rectangle([x, y, x + width - 1, y + height - 1], fill=color)
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    draw.text((x + 3 - left, y + 3 - top), text, font=font, fill=(0, 0, 0) if brightness > 110 else (255, 255, 255))


@cache
def text_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures, `size` pixels high."""
    return ImageFont.load_default(size=size)


def as_rgb(image: Image.Image, name: str) -> Image.Image:
    """The image in RGB; a TypeError that calls it `name` if it is not a Pillow image."""
    if not isinstance(image, Image.Image):
        raise TypeError(f"{name} must be a PIL image, got {type(image).__name__}")
    return image.convert("RGB")
