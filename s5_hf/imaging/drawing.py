"""Pictures of predictions: class colours, overlays, oriented boxes, legends and contact sheets.

Only numpy and Pillow are used. Every function returns a new RGB image and leaves its inputs as they were.

Pixel coordinates are continuous: an image spans [0, width] x [0, height], x to the right and y downwards, and the
centre of the pixel in row r and column c lies at (c + 0.5, r + 0.5).
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..dataset_builders.oriented_geometry import boxes_to_polygons
from .palettes import IGNORE_COLOR, Color, Palette, default_palette

__all__ = [
    "IGNORE_COLOR",
    "MAX_SHEET_PIXELS",
    "default_palette",
    "colorize_mask",
    "overlay_mask",
    "oriented_box_corners",
    "draw_oriented_boxes",
    "legend",
    "add_legend",
    "contact_sheet",
    "side_by_side",
]

MAX_SHEET_PIXELS = 2**27
"""The largest picture `contact_sheet` and `side_by_side` make (0.4 GB in memory)."""

_BACKGROUND: Color = (255, 255, 255)
_TEXT_COLOR: Color = (32, 32, 32)
_TEXT_SIZE = 14
_MARGIN = 8


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
    base = np.asarray(_as_rgb(image, "image"))
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
    table = _palette_array(palette)
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
        float64 `(n, 4, 2)` (x, y), going round: centre + w/2 * (w axis) + h/2 * (h axis) with the signs
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
    canvas = _as_rgb(image, "image").copy()
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
    colors = _palette_array(default_palette(max(count, 1)) if palette is None else palette)
    for name, length in (
        ("palette", len(colors)),
        ("label_names", count if label_names is None else len(label_names)),
    ):
        if count > length:
            raise ValueError(f"label {count - 1} needs {count} entries in {name}, got {length}")

    draw = ImageDraw.Draw(canvas)
    for index, outline in enumerate(corners):
        color = _as_color(colors[classes[index]])
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
    font = _font(12)
    left, top, right, bottom = font.getbbox(text)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(round(anchor[0] - width / 2), 0), max(image_size[0] - width, 0))
    y = min(max(round(anchor[1] - height - 2), 0), max(image_size[1] - height, 0))
    draw.rectangle([x, y, x + width - 1, y + height - 1], fill=color)
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    draw.text((x + 3 - left, y + 3 - top), text, font=font, fill=(0, 0, 0) if brightness > 110 else (255, 255, 255))


def legend(labels: Sequence[str], palette: Palette, rows: int | None = None) -> Image.Image:
    """A list of the classes: a colour patch and a name each.

    Args:
        labels: class names, in the order of the palette.
        palette: at least as many colours as labels.
        rows: names per column before a new column starts; all in one column if left out.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: there is no label, too few colours, or `rows` is below 1.
    """
    colors = _palette_array(palette)
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError("labels must be a sequence of class names (str)")
    if not 1 <= len(labels) <= len(colors):
        raise ValueError(
            f"a legend needs at least one label and a colour for each, got {len(labels)} labels "
            f"and {len(colors)} colours"
        )
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    font, patch, step = _font(_TEXT_SIZE), 16, 24
    rows = min(rows or len(labels), len(labels))
    columns = [list(range(start, min(start + rows, len(labels)))) for start in range(0, len(labels), rows)]
    widths = [patch + 3 * _MARGIN + math.ceil(max(font.getlength(labels[i]) for i in column)) for column in columns]
    picture = Image.new("RGB", (sum(widths) + _MARGIN, rows * step + 2 * _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    left = _MARGIN
    for column, width in zip(columns, widths, strict=True):
        for row, index in enumerate(column):
            top = _MARGIN + row * step + (step - patch) // 2
            color = _as_color(colors[index])
            draw.rectangle([left, top, left + patch - 1, top + patch - 1], fill=color, outline=_TEXT_COLOR)
            position = (left + patch + _MARGIN, top + patch // 2)
            draw.text(position, labels[index], font=font, fill=_TEXT_COLOR, anchor="lm")
        left += width
    return picture


def add_legend(image: Image.Image, labels: Sequence[str], palette: Palette) -> Image.Image:
    """Put the legend at the right of the image, in as many columns as its height asks for.

    Raises:
        TypeError, ValueError: as `legend`.
    """
    base = _as_rgb(image, "image")
    names = legend(labels, palette, rows=max(1, (base.height - 2 * _MARGIN) // 24))
    picture = Image.new("RGB", (base.width + names.width, max(base.height, names.height)), _BACKGROUND)
    picture.paste(base, (0, 0))
    picture.paste(names, (base.width, 0))
    return picture


def contact_sheet(
    tiles: Sequence[Image.Image], captions: Sequence[str] | None = None, columns: int = 4, tile_size: int = 256
) -> Image.Image:
    """Many pictures on one sheet, row by row, each scaled to fit a square and keeping its aspect ratio.

    Tiles are taken from the sequence and scaled one at a time, so a lazy sequence never holds all of them in memory.

    Args:
        tiles: at least one image.
        captions: one line for each tile; a line longer than the tile is wide is shortened.
        columns: tiles per row.
        tile_size: side of each tile's square, in pixels.

    Raises:
        TypeError: a tile is not a Pillow image.
        ValueError: there is no tile, captions and tiles differ in number, `columns` or `tile_size` is below 1, or
            the sheet would exceed `MAX_SHEET_PIXELS`.
    """
    _check_captions(tiles, captions)
    if columns < 1 or tile_size < 1:
        raise ValueError(f"columns and tile_size must be at least 1, got {columns} and {tile_size}")
    columns = min(columns, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    cell_width, cell_height = tile_size + _MARGIN, tile_size + _MARGIN + _caption_height(captions)
    sheet = _new_sheet(columns * cell_width + _MARGIN, rows * cell_height + _MARGIN)
    draw = ImageDraw.Draw(sheet)
    for index in range(len(tiles)):
        left, top = _MARGIN + index % columns * cell_width, _MARGIN + index // columns * cell_height
        tile = ImageOps.contain(_as_rgb(tiles[index], f"tile {index}"), (tile_size, tile_size))
        sheet.paste(tile, (left + (tile_size - tile.width) // 2, top + (tile_size - tile.height) // 2))
        if captions is not None:
            _draw_caption(draw, captions[index], left, top + tile_size, tile_size)
    return sheet


def side_by_side(images: Sequence[Image.Image], captions: Sequence[str] | None = None) -> Image.Image:
    """Pictures in one row at their own size, with the captions below; long captions are shortened.

    Raises:
        TypeError: an item is not a Pillow image.
        ValueError: there is no image, captions and images differ in number, or the row would exceed
            `MAX_SHEET_PIXELS`.
    """
    _check_captions(images, captions)
    parts = [_as_rgb(image, f"image {index}") for index, image in enumerate(images)]
    height = max(part.height for part in parts)
    width = sum(part.width + _MARGIN for part in parts) + _MARGIN
    row = _new_sheet(width, height + 2 * _MARGIN + _caption_height(captions))
    draw = ImageDraw.Draw(row)
    left = _MARGIN
    for index, part in enumerate(parts):
        row.paste(part, (left, _MARGIN))
        if captions is not None:
            _draw_caption(draw, captions[index], left, _MARGIN + height, part.width)
        left += part.width + _MARGIN
    return row


def _check_captions(images: Sequence[Image.Image], captions: Sequence[str] | None) -> None:
    if len(images) == 0:
        raise ValueError("at least one image is needed, got none")
    if isinstance(captions, str):
        raise TypeError("captions must be a sequence with one str for each image, got a single str")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"captions must match the images in number, got {len(captions)} for {len(images)} images")


def _caption_height(captions: Sequence[str] | None) -> int:
    return 0 if captions is None else _TEXT_SIZE + 8


def _draw_caption(draw: ImageDraw.ImageDraw, caption: str, left: int, top: int, width: int) -> None:
    """Write one line centred below a picture of the given width, shortened with dots where it is too long."""
    font = _font(_TEXT_SIZE)
    text = " ".join(str(caption).split())
    if font.getlength(text) > width:
        kept = len(text)
        while kept and font.getlength(text[:kept].rstrip() + "...") > width:
            kept -= 1
        text = text[:kept].rstrip() + "..." if kept else ""
    draw.text((left + width // 2, top + 4), text, font=font, fill=_TEXT_COLOR, anchor="ma")


def _new_sheet(width: int, height: int) -> Image.Image:
    if width * height > MAX_SHEET_PIXELS:
        raise ValueError(
            f"the sheet would have {width} x {height} pixels, more than {MAX_SHEET_PIXELS}: "
            "show fewer pictures or smaller ones"
        )
    return Image.new("RGB", (width, height), _BACKGROUND)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _as_rgb(image: Image.Image, name: str) -> Image.Image:
    if not isinstance(image, Image.Image):
        raise TypeError(f"{name} must be a PIL image, got {type(image).__name__}")
    return image.convert("RGB")


def _as_color(row: np.ndarray) -> Color:
    red, green, blue = row.tolist()
    return red, green, blue


def _palette_array(palette: Palette) -> np.ndarray:
    """The palette as uint8 `(n, 3)`, checked."""
    table = np.asarray(palette)
    if table.ndim != 2 or table.shape[1] != 3 or table.shape[0] == 0 or table.dtype.kind not in "iu":
        raise ValueError(f"palette must be a list of (red, green, blue) integers, got {palette!r:.80}")
    if table.min() < 0 or table.max() > 255:
        raise ValueError(f"palette values must lie between 0 and 255, got {table.min()} to {table.max()}")
    return table.astype(np.uint8)
