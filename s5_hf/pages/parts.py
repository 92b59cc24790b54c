"""The parts that the report's page is made of: pictures inside the page, grids, tables, commands."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from ..imaging.drawing import overlay_mask
from ..imaging.palettes import Palette

__all__ = ["class_legend", "commands", "details", "overlay", "page", "picture", "picture_grid", "table"]

_JPEG_QUALITY = 84
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
h1 { margin-bottom: .2rem } h2 { margin-top: 2.6rem; border-bottom: 1px solid #ddd } h3 { margin-bottom: .4rem }
table { border-collapse: collapse; margin: .6rem 0 } td, th { padding: .15rem 1.1rem .15rem 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } tr:first-child { border-bottom: 1px solid #ccc }
svg { display: block; max-width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: currentColor }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0 }
.chart { max-width: 350px } .chart p { margin: 0 }
.grid { display: grid; gap: 6px; justify-content: start } .grid b { font-size: 12px; align-self: end }
.grid img { display: block; width: 100%; height: auto; border-radius: 3px; outline: 1px solid #ddd }
figure { margin: 0 } figcaption { font-size: 12px; line-height: 1.3; color: #555; overflow-wrap: anywhere }
pre { background: #f5f5f3; padding: .6rem .8rem; border-radius: 4px; white-space: pre-wrap; font-size: 12.5px }
summary { cursor: pointer; color: #555 } .key { margin-right: 1.1rem }
.key i { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border-radius: 2px;
  outline: 1px solid #ccc }
.note, .time { color: #666 } .note { max-width: 50rem }
"""


def page(title: str, content: str) -> str:
    """A whole HTML page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1>{content}</body></html>"
    )


def picture(image: Image.Image | np.ndarray, caption: str = "", largest: int = 320) -> str:
    """An image inside the page, reduced to `largest` pixels a side, with a caption."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    shown = image.convert("RGB")
    shown.thumbnail((largest, largest))
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img alt="{escape(caption)}" src="data:image/jpeg;base64,{data}">{below}</figure>'


def overlay(image: np.ndarray, classes: np.ndarray, palette: Palette) -> Image.Image:
    """The image with class colours, strong enough to read the classes and see the image."""
    return overlay_mask(Image.fromarray(image), classes, palette, alpha=0.65, ignore_index=255)


def picture_grid(cells: Sequence[str], columns: int, heads: Sequence[str] = (), width: int = 180) -> str:
    """Pictures in rows, with heads above the columns."""
    above = "".join(f"<b>{escape(head)}</b>" for head in heads)
    style = f"grid-template-columns: repeat({columns}, minmax(0, {width}px))"
    return f'<div class="grid" style="{style}">{above}{"".join(cells)}</div>'


def class_legend(labels: Sequence[str], palette: Palette) -> str:
    """A colour and a name for each class."""
    keys = [
        f'<span class="key"><i style="background:rgb{tuple(colour)}"></i>{escape(label)}</span>'
        for label, colour in zip(labels, palette, strict=True)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with a first column of names and further ones of numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        first, *others = (escape(cell) for cell in cells)
        numbers = "".join(f'<{tag} class="n">{cell}</{tag}>' for cell in others)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    return f"<table>{line(heads, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def commands(lines: Sequence[tuple[str, float]]) -> str:
    """Commands, each with the seconds it took."""
    text = "\n".join(f'{escape(line)}  <span class="time"># {seconds:.0f} s</span>' for line, seconds in lines)
    return f"<pre>{text}</pre>"


def details(summary: str, text: str) -> str:
    """A file's text, folded."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"
