"""Pictures of several pictures: legends, contact sheets and rows.

Every function returns a new RGB image and leaves its inputs as they were.
"""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from .drawing import as_rgb, text_font
from .palettes import Color, Palette, as_color, palette_array

__all__ = ["MAX_SHEET_PIXELS", "add_legend", "contact_sheet", "legend", "side_by_side"]

MAX_SHEET_PIXELS = 2**27
"""The largest picture `contact_sheet` and `side_by_side` make (0.4 GB in memory)."""

_BACKGROUND: Color = (255, 255, 255)
_TEXT_COLOR: Color = (32, 32, 32)
_TEXT_SIZE = 14
_MARGIN = 8


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
    colors = palette_array(palette)
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise TypeError("labels must be a sequence of class names (str)")
    if not 1 <= len(labels) <= len(colors):
        raise ValueError(
            f"a legend needs at least one label and a colour for each, got {len(labels)} labels "
            f"and {len(colors)} colours"
        )
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    font, patch, step = text_font(_TEXT_SIZE), 16, 24
    rows = min(rows or len(labels), len(labels))
    columns = [list(range(start, min(start + rows, len(labels)))) for start in range(0, len(labels), rows)]
    widths = [patch + 3 * _MARGIN + math.ceil(max(font.getlength(labels[i]) for i in column)) for column in columns]
    picture = Image.new("RGB", (sum(widths) + _MARGIN, rows * step + 2 * _MARGIN), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    left = _MARGIN
    for column, width in zip(columns, widths, strict=True):
        for row, index in enumerate(column):
            top = _MARGIN + row * step + (step - patch) // 2
            color = as_color(colors[index])
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
    base = as_rgb(image, "image")
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
        tile = ImageOps.contain(as_rgb(tiles[index], f"tile {index}"), (tile_size, tile_size))
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
    parts = [as_rgb(image, f"image {index}") for index, image in enumerate(images)]
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
    font = text_font(_TEXT_SIZE)
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
