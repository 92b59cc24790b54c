"""The parts that pages are made of: the document itself, pictures inside it, grids, tables, legends, commands."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from ..imaging.drawing import overlay_mask
from ..imaging.palettes import Palette

__all__ = [
    "class_legend",
    "color_legend",
    "commands",
    "details",
    "document",
    "figure",
    "image_data",
    "inline_image",
    "overlay",
    "page",
    "picture",
    "picture_grid",
    "table",
]

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
figure { margin: 0 } figcaption { font-size: 12px; line-height: 1.3; color: #555; overflow-wrap: anywhere }
figure img { display: block; width: 100%; height: auto; border-radius: 3px; outline: 1px solid #ddd }
pre { background: #f5f5f3; padding: .6rem .8rem; border-radius: 4px; white-space: pre-wrap; font-size: 12.5px }
summary { cursor: pointer; color: #555 } .key { margin-right: 1.1rem }
.key i { display: inline-block; width: .9em; height: .9em; margin-right: .4em; border-radius: 2px;
  outline: 1px solid #ccc }
.note, .time { color: #666 } .note { max-width: 50rem }
"""


def document(title: str, body: str, style: str, head: str = "") -> str:
    """A whole HTML page with a style of its own.

    Args:
        title: plain text.
        body: HTML.
        style: CSS.
        head: further HTML elements of the head, such as a policy.
    """
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{head}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body>{body}</body></html>"
    )


def page(title: str, content: str) -> str:
    """A whole HTML page in the style of the reports, with its title as heading."""
    return document(title, f"<h1>{escape(title)}</h1>{content}", _STYLE)


def image_data(image: Image.Image, format: str = "JPEG", **options: object) -> str:
    """An encoded image as a data URI. `options` are those of Pillow's `save`."""
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def inline_image(image: Image.Image, description: str = "") -> str:
    """An image inside the page, as large as it is."""
    data = image_data(image.convert("RGB"), quality=_JPEG_QUALITY)
    return f'<img alt="{escape(description)}" src="{data}">'


def figure(images: Sequence[str], lines: Sequence[str] = ()) -> str:
    """Images of `inline_image`, one below the other, above the lines of a caption."""
    below = "<br>".join(escape(line) for line in lines)
    return f"<figure>{''.join(images)}{f'<figcaption>{below}</figcaption>' if below else ''}</figure>"


def picture(image: Image.Image | np.ndarray, caption: str = "", largest: int = 320) -> str:
    """An image inside the page, reduced to `largest` pixels a side, with a caption."""
    shown = image.copy() if isinstance(image, Image.Image) else Image.fromarray(image)
    shown.thumbnail((largest, largest))
    return figure([inline_image(shown, caption)], [caption] if caption else [])


def overlay(image: Image.Image | np.ndarray, classes: np.ndarray, palette: Palette) -> Image.Image:
    """The image with class colours, strong enough to read the classes and see the image."""
    shown = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return overlay_mask(shown, classes, palette, alpha=0.65, ignore_index=255)


def picture_grid(cells: Sequence[str], columns: int | None = None, heads: Sequence[str] = (), width: int = 180) -> str:
    """Pictures in rows, with heads above the columns.

    Args:
        cells: row after row.
        columns: how many; `None` for as many as the page has room for.
        heads: one per column, or none.
        width: of a column in pixels, at most.
    """
    above = "".join(f"<b>{escape(head)}</b>" for head in heads)
    tracks = f"auto-fill, {width}px" if columns is None else f"{columns}, minmax(0, {width}px)"
    return f'<div class="grid" style="grid-template-columns: repeat({tracks})">{above}{"".join(cells)}</div>'


def color_legend(names: Sequence[str], colors: Sequence[str]) -> str:
    """A colour, as CSS has it, and a name for each entry."""
    keys = [
        f'<span class="key"><i style="background:{color}"></i>{escape(name)}</span>'
        for name, color in zip(names, colors, strict=True)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'


def class_legend(labels: Sequence[str], palette: Palette) -> str:
    """A colour and a name for each class."""
    return color_legend(labels, [f"rgb{tuple(color)}" for color in palette])


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
