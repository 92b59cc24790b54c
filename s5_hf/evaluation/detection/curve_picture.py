"""Precision over recall as a picture, drawn with Pillow alone."""

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...imaging.palettes import default_palette
from ...metrics.average_precision import PrecisionRecall
from ..drawing import GREY, INK, MARGIN, PAPER, TEXT_SIZE, TITLE_SIZE, paste_turned

__all__ = ["draw_precision_recall"]

_SIDE, _STEP = 480, 22
_GRID = (225, 225, 225)


def draw_precision_recall(
    curves: Mapping[str, PrecisionRecall], scores: Mapping[str, float], title: str
) -> Image.Image:
    """One line per class: precision of the best detections, as more and more are taken, over their recall.

    Args:
        curves: per class name; classes without references have a name and no line.
        scores: per class name its average precision in percent, which is written beside the name; NaN for none.
        title: written above.
    """
    font, title_font = ImageFont.load_default(size=TEXT_SIZE), ImageFont.load_default(size=TITLE_SIZE)
    names = {label: f"{label}  {_percent(scores[label])}" for label in curves}
    left, top = 5 * MARGIN, 4 * MARGIN
    legend_left = left + _SIDE + 2 * MARGIN
    legend_width = 2 * MARGIN + max(font.getlength(name) for name in names.values())
    width = max(legend_left + legend_width, MARGIN + title_font.getlength(title)) + MARGIN
    height = top + max(_SIDE + 4 * MARGIN, _STEP * len(names) + MARGIN)
    picture = Image.new("RGB", (math.ceil(width), math.ceil(height)), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, font=title_font, fill=INK)
    for tenth in range(0, 11, 2):
        offset = round(_SIDE * tenth / 10)
        draw.line([left + offset, top, left + offset, top + _SIDE], fill=_GRID)
        draw.line([left, top + offset, left + _SIDE, top + offset], fill=_GRID)
        draw.text((left + offset, top + _SIDE + 6), f"{10 * tenth}", font=font, fill=GREY, anchor="mt")
        draw.text((left - 6, top + _SIDE - offset), f"{10 * tenth}", font=font, fill=GREY, anchor="rm")
    draw.text((left + _SIDE // 2, top + _SIDE + 3 * MARGIN), "recall, percent", font=font, fill=GREY, anchor="ms")
    paste_turned(picture, "precision, percent", font, GREY, (MARGIN, top + _SIDE // 2 + 60))
    for index, ((label, curve), color) in enumerate(zip(curves.items(), default_palette(len(curves)), strict=True)):
        middle = top + _STEP * index + _STEP // 2
        draw.rectangle([legend_left, middle - 5, legend_left + 10, middle + 5], fill=color)
        draw.text((legend_left + 1.5 * MARGIN, middle), names[label], font=font, fill=INK, anchor="lm")
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
