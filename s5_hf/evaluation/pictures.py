"""The pictures of reports, drawn with Pillow alone: a confusion matrix, and precision over recall."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..imaging.palettes import default_palette
from ..metrics.average_precision import PrecisionRecall

__all__ = ["draw_confusion_matrix", "draw_precision_recall"]

_MARGIN, _TEXT_SIZE, _TITLE_SIZE = 16, 14, 18
_INK, _GREY, _PAPER, _GRID, _DARKEST = (32, 32, 32), (110, 110, 110), (255, 255, 255), (225, 225, 225), (8, 48, 107)
_CELL, _SIDE, _STEP = 52, 480, 22


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
    font, title_font = ImageFont.load_default(size=_TEXT_SIZE), ImageFont.load_default(size=_TITLE_SIZE)
    note = "percent of the pixels of each true class (-: it does not occur)"
    names = round(max(font.getlength(label) for label in labels)) + _MARGIN
    left, top, side = names + 3 * _MARGIN, names + 5 * _MARGIN, _CELL * len(labels)
    widest = max(title_font.getlength(title) + _MARGIN, font.getlength(note) + _MARGIN, left + side)
    picture = Image.new("RGB", (math.ceil(widest) + _MARGIN, top + side + 3 * _MARGIN), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), title, font=title_font, fill=_INK)
    draw.text((_MARGIN, top + side + 2 * _MARGIN), note, font=font, fill=_GREY, anchor="ls")
    draw.text((left + side // 2, top - names), "predicted", font=font, fill=_GREY, anchor="ms")
    _paste_turned(picture, "true", font, _GREY, (_MARGIN, top + side // 2 + _MARGIN))
    for index, label in enumerate(labels):
        middle = top + index * _CELL + _CELL // 2
        draw.text((left - _MARGIN // 2, middle), label, font=font, fill=_INK, anchor="rm")
        _paste_turned(picture, label, font, _INK, (left + index * _CELL + (_CELL - _TEXT_SIZE) // 2, top - 6))
    for row, column in np.ndindex(shares.shape):
        _draw_cell(draw, (left + column * _CELL, top + row * _CELL), shares[row, column], font)
    return picture


def _draw_cell(draw: ImageDraw.ImageDraw, corner: tuple[int, int], share: float, font: ImageFont.FreeTypeFont) -> None:
    known = not np.isnan(share)
    strength = share if known else 0.0
    red, green, blue = np.rint(255 + (np.array(_DARKEST) - 255) * strength).astype(int).tolist()
    x, y = corner
    draw.rectangle([x, y, x + _CELL - 1, y + _CELL - 1], fill=(red, green, blue), outline=_GRID)
    text = _percentage(share) if known else "-"
    ink = _PAPER if strength > 0.5 else _INK
    draw.text((x + _CELL // 2, y + _CELL // 2), text, font=font, fill=ink, anchor="mm")


def _percentage(share: float) -> str:
    """One decimal; what is not nothing, and not all, never reads as 0.0 or 100."""
    if 0 < share < 0.0005:
        return "<0.1"
    if share == 1:
        return "100"
    return f"{min(100 * share, 99.9):.1f}"


def draw_precision_recall(
    curves: Mapping[str, PrecisionRecall], scores: Mapping[str, float], title: str
) -> Image.Image:
    """One line per class: precision of the best detections, as more and more are taken, over their recall.

    Args:
        curves: per class name; classes without references have a name and no line.
        scores: per class name its average precision in percent, which is written beside the name; NaN for none.
        title: written above.
    """
    font, title_font = ImageFont.load_default(size=_TEXT_SIZE), ImageFont.load_default(size=_TITLE_SIZE)
    names = {label: f"{label}  {_percent(scores[label])}" for label in curves}
    left, top = 5 * _MARGIN, 4 * _MARGIN
    legend_left = left + _SIDE + 2 * _MARGIN
    legend_width = 2 * _MARGIN + max(font.getlength(name) for name in names.values())
    width = max(legend_left + legend_width, _MARGIN + title_font.getlength(title)) + _MARGIN
    height = top + max(_SIDE + 4 * _MARGIN, _STEP * len(names) + _MARGIN)
    picture = Image.new("RGB", (math.ceil(width), math.ceil(height)), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), title, font=title_font, fill=_INK)
    for tenth in range(0, 11, 2):
        offset = round(_SIDE * tenth / 10)
        draw.line([left + offset, top, left + offset, top + _SIDE], fill=_GRID)
        draw.line([left, top + offset, left + _SIDE, top + offset], fill=_GRID)
        draw.text((left + offset, top + _SIDE + 6), f"{10 * tenth}", font=font, fill=_GREY, anchor="mt")
        draw.text((left - 6, top + _SIDE - offset), f"{10 * tenth}", font=font, fill=_GREY, anchor="rm")
    draw.text((left + _SIDE // 2, top + _SIDE + 3 * _MARGIN), "recall, percent", font=font, fill=_GREY, anchor="ms")
    _paste_turned(picture, "precision, percent", font, _GREY, (_MARGIN, top + _SIDE // 2 + 60))
    for index, ((label, curve), color) in enumerate(zip(curves.items(), default_palette(len(curves)), strict=True)):
        middle = top + _STEP * index + _STEP // 2
        draw.rectangle([legend_left, middle - 5, legend_left + 10, middle + 5], fill=color)
        draw.text((legend_left + 1.5 * _MARGIN, middle), names[label], font=font, fill=_INK, anchor="lm")
        points = [(left + _SIDE * recall, top + _SIDE * (1 - precision)) for recall, precision in _points(curve)]
        if points:
            draw.line(points, fill=color, width=2)
    return picture


def _points(curve: PrecisionRecall) -> list[tuple[float, float]]:
    """Recall and precision, rising in recall, from recall 0 on; none without references or detections."""
    if curve.references == 0 or len(curve.right) == 0:
        return []
    recall, precision = curve.right / curve.references, curve.precision
    # Where the recall stays the precision falls: the first and the last detection of such a step are enough.
    turns = np.flatnonzero(np.diff(recall, prepend=-1, append=2))
    kept = np.unique(np.concatenate([turns[:-1], turns[1:] - 1]))
    first = (0.0, float(precision[0]))
    return [first, *zip(recall[kept].tolist(), precision[kept].tolist(), strict=True)]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _paste_turned(
    picture: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont,
    ink: tuple[int, int, int],
    lower_left: tuple[int, int],
) -> None:
    """Write text upwards, its lower left corner at the given place."""
    length = round(font.getlength(text)) + 2
    line = Image.new("L", (length, _TEXT_SIZE + 6), 0)
    ImageDraw.Draw(line).text((0, 0), text, font=font, fill=255)
    turned = line.transpose(Image.Transpose.ROTATE_90)
    x, y = lower_left
    picture.paste(Image.new("RGB", turned.size, ink), (x, y - turned.height), mask=turned)
