"""The confusion matrix as a picture, drawn with Pillow alone."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..drawing import GREY, INK, MARGIN, PAPER, TEXT_SIZE, TITLE_SIZE, paste_turned

__all__ = ["draw_confusion_matrix"]

_CELL = 52
_DARKEST = np.array((8, 48, 107))


def draw_confusion_matrix(counts: np.ndarray, labels: Sequence[str], title: str) -> Image.Image:
    """Rows are the true classes, columns the predicted ones; a cell shows its percentage of its row.

    Args:
        counts: integers `(C, C)`, pixels, references in rows.
        labels: class names.
        title: written above.

    Raises:
        ValueError: if there is not one label per class.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.shape != (len(labels), len(labels)):
        raise ValueError(f"{len(labels)} labels for a confusion matrix of the shape {counts.shape}")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    font, title_font = ImageFont.load_default(size=TEXT_SIZE), ImageFont.load_default(size=TITLE_SIZE)
    note = "percent of the pixels of each true class (-: it does not occur)"
    names = round(max(font.getlength(label) for label in labels)) + MARGIN
    left, top, side = names + 3 * MARGIN, names + 5 * MARGIN, _CELL * len(labels)
    widest = max(title_font.getlength(title) + MARGIN, font.getlength(note) + MARGIN, left + side)
    picture = Image.new("RGB", (math.ceil(widest) + MARGIN, top + side + 3 * MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, font=title_font, fill=INK)
    draw.text((MARGIN, top + side + 2 * MARGIN), note, font=font, fill=GREY, anchor="ls")
    draw.text((left + side // 2, top - names), "predicted", font=font, fill=GREY, anchor="ms")
    paste_turned(picture, "true", font, GREY, (MARGIN, top + side // 2 + MARGIN))
    for index, label in enumerate(labels):
        middle = top + index * _CELL + _CELL // 2
        draw.text((left - MARGIN // 2, middle), label, font=font, fill=INK, anchor="rm")
        paste_turned(picture, label, font, INK, (left + index * _CELL + (_CELL - TEXT_SIZE) // 2, top - 6))
    for row, column in np.ndindex(shares.shape):
        _draw_cell(draw, (left + column * _CELL, top + row * _CELL), shares[row, column], font)
    return picture


def _draw_cell(draw: ImageDraw.ImageDraw, corner: tuple[int, int], share: float, font: ImageFont.FreeTypeFont) -> None:
    known = not np.isnan(share)
    strength = share if known else 0.0
    red, green, blue = np.rint(255 + (_DARKEST - 255) * strength).astype(int).tolist()
    x, y = corner
    draw.rectangle([x, y, x + _CELL - 1, y + _CELL - 1], fill=(red, green, blue), outline=(225, 225, 225))
    text = _percentage(share) if known else "-"
    ink = PAPER if strength > 0.5 else INK
    draw.text((x + _CELL // 2, y + _CELL // 2), text, font=font, fill=ink, anchor="mm")


def _percentage(share: float) -> str:
    """One decimal; what is not nothing, and not all, never reads as 0.0 or 100."""
    if 0 < share < 0.0005:
        return "<0.1"
    if share == 1:
        return "100"
    return f"{min(100 * share, 99.9):.1f}"
