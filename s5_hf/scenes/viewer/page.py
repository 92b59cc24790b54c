"""The markup of the page that shows a scene and its class maps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from PIL import Image

from ...imaging.palettes import Color
from ...pages.parts import document, image_data
from ..segmentation.areas import ClassArea
from .layers import MapLayer
from .line_layer import LineLayer
from .script import SCRIPT
from .style import STYLE
from .tiles import TILE_SIZE, TilePyramid

__all__ = ["PageTiles", "ViewerFacts", "viewer_page"]

# Nothing may be fetched: pictures are data URIs, script and style are inline.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_BARE_LABEL = "unchanged"
"""A class that is hidden at first: it is nearly everywhere in a map of changes."""


@dataclass(frozen=True)
class ViewerFacts:
    """What the page says besides the pictures.

    Attributes:
        title: heading.
        scene: name of the scene.
        width, height: of the scene in pixels.
        factor: pixels of the scene per pixel of the overview, along each side.
        areas: the table, one entry per class.
        colors: of these classes.
        crs: as text; None where there is none.
        transform: a, b, c, d, e, f: column x and row y lie at (a x + b y + c, d x + e y + f); None without one.
        task, model: what made the map, where that is known.
    """

    title: str
    scene: str
    width: int
    height: int
    factor: int
    areas: Sequence[ClassArea]
    colors: Sequence[Color]
    crs: str | None
    transform: Sequence[float] | None
    task: str | None
    model: str | None


@dataclass(frozen=True)
class PageTiles:
    """The tiles of a page.

    Attributes:
        pyramid: its levels.
        folder: name of the folder beside the page that holds them; None if they are inside the page.
        embedded: JSON of all tiles; None if they are in a folder.
    """

    pyramid: TilePyramid
    folder: str | None
    embedded: str | None


def viewer_page(
    facts: ViewerFacts,
    images: Sequence[str],
    layers: Sequence[MapLayer],
    mistakes: MapLayer | None = None,
    tiles: PageTiles | None = None,
    lines: LineLayer | None = None,
) -> str:
    """The page.

    Args:
        facts: what it says.
        images: data URI of the scene; for two dates that of the later one, and that of the earlier.
        layers: the class maps; the first one is that of the table.
        mistakes: where the first map differs from the last one: 1 equal, 2 different, 0 not compared.
        tiles: finer pictures of all these; None where the overview is the whole scene.
        lines: drawn on top of everything.
    """
    dated = len(images) > 1
    body = (
        f'<main id="stage" tabindex="0" role="application" aria-label="{_stage_label(facts)}">'
        f'<div class="layer"><div class="world" id="image-world"><img id="image" alt="" src="{images[0]}"></div>'
        f"{_DETAIL}</div>{_earlier(images[1:])}"
        '<div class="layer" id="left-layer"><div class="world"><canvas id="left-classes"></canvas></div>'
        f"{_DETAIL}</div>"
        '<div class="layer" id="classes-layer"><div class="world" id="classes-world"><canvas id="classes"></canvas>'
        f"</div>{_DETAIL}</div>{_drawn(lines)}"
        f"{_divider(dated)}{_ZOOM_BUTTONS}"
        '<p id="readout" aria-live="off"></p><div id="scale" hidden><span></span></div>'
        '<p id="missing" role="alert" hidden></p>'
        '<noscript><p class="message">This page needs JavaScript to show the scene.</p></noscript></main>\n'
        f"<aside><header><h1>{escape(facts.title)}</h1>{_description(facts, tiles)}</header>"
        f"{_sides(layers, mistakes, dated)}"
        '<label class="opacity" for="opacity"><span>Opacity of the classes</span>'
        '<output id="opacity-value">75 %</output>'
        '<input type="range" id="opacity" min="0" max="100" value="75"></label>'
        f"{_table(facts)}{_choice_of(lines)}{_HELP}</aside>\n"
        f'<script type="application/json" id="data">{_data(facts, layers, mistakes, tiles, dated)}</script>\n'
        f"{_embedded(tiles)}"
        f"<script>{SCRIPT}</script>"
    )
    policy = _POLICY + (_TILE_SCRIPTS if tiles is not None and tiles.folder else "")
    return document(facts.title, body, STYLE, head=f'<meta http-equiv="Content-Security-Policy" content="{policy}">')


# Tiles in a folder are scripts.
_TILE_SCRIPTS = " 'self' file:"

_DETAIL = '<canvas class="detail"></canvas>'
_ZOOM_BUTTONS = (
    '<div id="zoom"><button type="button" id="zoom-in" aria-label="Zoom in">+</button>'
    '<button type="button" id="zoom-out" aria-label="Zoom out">&minus;</button>'
    '<button type="button" id="fit" aria-label="Show the whole scene">&#x2922;</button></div>'
)
_HELP = (
    "<details><summary>Mouse, touch and keyboard</summary><dl>"
    "<dt>Move</dt><dd>drag; arrow keys</dd><dt>Zoom</dt><dd>wheel, pinch, double click; + and &minus;</dd>"
    "<dt>Whole scene</dt><dd>0</dd><dt>Divider</dt><dd>drag its grip; [ and ], or arrow keys when it has the focus"
    "</dd><dt>One class</dt><dd>its box in the table hides and shows it</dd></dl></details>"
)


def _earlier(images: Sequence[str]) -> str:
    """The layer of the earlier date, left of the divider, where there is one."""
    return "".join(
        f'<div class="layer" id="before-layer"><div class="world"><img id="before" alt="" src="{image}"></div>'
        f"{_DETAIL}</div>"
        for image in images
    )


def _divider(dated: bool) -> str:
    left, right = ("Before", "After") if dated else ("Image", "Classes")
    return (
        f'<div id="divider" role="slider" tabindex="0" aria-label="Divider: {left.lower()} to its left, '
        f'{right.lower()} to its right" aria-valuemin="0" aria-valuemax="100" aria-valuenow="50">'
        f'<i class="side left">{left}</i><i class="side right">{right}</i><b aria-hidden="true"></b></div>'
    )


def _sides(layers: Sequence[MapLayer], mistakes: MapLayer | None, dated: bool) -> str:
    """Two lists to choose what is shown left and right of the divider; hidden where there is but one map and date."""
    names = [
        "No classes" if dated else "Image",
        *(layer.name for layer in layers),
        *([] if mistakes is None else [mistakes.name]),
    ]

    def choice(side: str, chosen: int) -> str:
        options = "".join(
            f'<option value="{number - 1}"{" selected" if number == chosen else ""}>{escape(name)}</option>'
            for number, name in enumerate(names)
        )
        return f'<label for="{side}-map">{side.capitalize()}</label><select id="{side}-map">{options}</select>'

    hidden = "" if len(names) > 2 or dated else " hidden"
    left, right = (0, 1) if len(layers) == 1 or mistakes is not None else (1, 2)
    if dated and len(layers) == 1:
        left = right = 1
    return f'<div class="sides"{hidden}>{choice("left", left)}{choice("right", right)}</div>'


def _drawn(lines: LineLayer | None) -> str:
    """The lines in the pixels of the scene; the script moves them."""
    if lines is None:
        return ""
    path = f'<path vector-effect="non-scaling-stroke" d="{lines.path}"/>'
    return f'<div class="layer" id="lines-layer"><svg id="lines" aria-hidden="true">{path}</svg></div>'


def _choice_of(lines: LineLayer | None) -> str:
    if lines is None:
        return ""
    return (
        '<label class="lines"><input type="checkbox" checked id="lines-shown"><i class="patch"></i>'
        f"{escape(lines.name)}: {lines.count:,} lines</label>"
    )


def _stage_label(facts: ViewerFacts) -> str:
    return escape(f"Map of {facts.scene}: arrow keys move, plus and minus zoom, 0 shows the whole scene", quote=True)


def _description(facts: ViewerFacts, tiles: PageTiles | None) -> str:
    lines = [f"{facts.scene}, {facts.width:,} x {facts.height:,} pixels"]
    made_by = [f"task {facts.task}" if facts.task else "", f"model {facts.model}" if facts.model else "", facts.crs]
    if any(made_by):
        lines.append(", ".join(part for part in made_by if part))
    if tiles is not None:
        lines.append(
            f"At first an overview: one pixel stands for {facts.factor} x {facts.factor} of the scene (mean colour, "
            "commonest class). Zoom in to see the scene in full."
        )
        if tiles.folder:
            lines.append(f"Its details are in the folder {tiles.folder}, which belongs beside this page.")
    else:
        lines.append("Shown at full resolution.")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _table(facts: ViewerFacts) -> str:
    unit, divisor, decimals = area_unit([area.square_metres for area in facts.areas])
    largest = max((area.share for area in facts.areas), default=0.0) or 1.0
    rows = []
    for index, (area, color) in enumerate(zip(facts.areas, facts.colors, strict=True)):
        measure = area.pixels if area.square_metres is None else area.square_metres / divisor
        width = 100 * area.share / largest
        checked = "" if area.label == _BARE_LABEL else " checked"
        rows.append(
            f'<tr><th scope="row"><label><input type="checkbox"{checked} data-class="{index}">'
            f'<i class="patch" style="background:rgb{tuple(color)}"></i>{escape(area.label)}</label>'
            f'<i class="bar" style="width:{width:.1f}%;background:rgb{tuple(color)}"></i></th>'
            f"<td>{area.share:.1%}</td><td>{measure:,.{decimals}f}</td></tr>"
        )
    return (
        f'<table><thead><tr><th scope="col">Class</th><th scope="col">Share</th><th scope="col">{unit}</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def area_unit(square_metres: Sequence[float | None]) -> tuple[str, float, int]:
    """One unit for a column of areas: its name, its square metres, and the decimals to show."""
    known = [area for area in square_metres if area is not None]
    if len(known) < len(square_metres) or not known:
        return "Pixels", 1.0, 0
    for name, size, decimals in (("km²", 1e6, 2), ("ha", 1e4, 1)):
        if max(known) >= 10 * size:
            return name, size, decimals
    return "m²", 1.0, 0


def _embedded(tiles: PageTiles | None) -> str:
    if tiles is None or tiles.embedded is None:
        return ""
    return f'<script type="application/json" id="tiles">{tiles.embedded}</script>\n'


def _data(
    facts: ViewerFacts, layers: Sequence[MapLayer], mistakes: MapLayer | None, tiles: PageTiles | None, dated: bool
) -> str:
    """What the script reads."""
    content = {
        "width": facts.width,
        "height": facts.height,
        "factor": facts.factor,
        "dated": dated,
        "labels": [area.label for area in facts.areas],
        "colors": [list(color) for color in facts.colors],
        "transform": None if facts.transform is None else list(facts.transform),
        "metresPerPixel": _metres_per_pixel(facts.areas),
        "maps": [{"name": layer.name, "classes": _png(layer)} for layer in layers],
        "errors": None if mistakes is None else {"name": mistakes.name, "classes": _png(mistakes)},
        "tiles": None if tiles is None else _tile_data(tiles),
    }
    # A name with "</script>" or "<!--" would end or change the script element that holds it.
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _tile_data(tiles: PageTiles) -> dict[str, object]:
    folder = None if tiles.folder is None else quote(tiles.folder, safe="")
    return {"size": TILE_SIZE, "factors": tiles.pyramid.factors, "folder": folder}


def _png(layer: MapLayer) -> str:
    """The numbers of a map as a grey PNG."""
    return image_data(Image.fromarray(layer.numbers), "PNG", optimize=True)


def _metres_per_pixel(areas: Sequence[ClassArea]) -> float | None:
    """The mean side of a pixel; None where no areas are known."""
    pixels = sum(area.pixels for area in areas if area.square_metres is not None)
    square_metres = sum(area.square_metres or 0.0 for area in areas)
    return math.sqrt(square_metres / pixels) if pixels and square_metres else None
