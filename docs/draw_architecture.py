"""Draw the floors of docs/architecture.md as docs/images/architecture.svg.

    python docs/draw_architecture.py

The table of the page is the only list of floors: the picture is drawn from it, and tests/test_architecture.py holds
the imports of the package to it.
"""

import re
from html import escape
from pathlib import Path

PAGE = Path(__file__).with_name("architecture.md")
PICTURE = Path(__file__).parent / "images" / "architecture.svg"
FLOOR = re.compile(r"^\| (\d+) \| ((?:`\w+` ?)+)\|", re.MULTILINE)

WIDTH, FLOOR_HEIGHT, MARGIN, SIDE = 880, 50, 16, 74
CHARACTER, GAP, BOX_HEIGHT = 8.6, 10, 32
STYLE = """
  .ground { fill: #ffffff } .box { fill: #e0f2f1; stroke: #00796b } text { fill: #102a27 }
  .line { stroke: #b5c9c6 } .arrow { stroke: #00796b; stroke-width: 2 } .head { fill: #00796b }
  text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
  .small { font: 13px system-ui, sans-serif }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14201f } .box { fill: #1d3b38; stroke: #4db6ac } text { fill: #e6f2f0 }
    .line { stroke: #35514d } .arrow { stroke: #4db6ac } .head { fill: #4db6ac }
  }
"""


def read_floors(page: Path = PAGE) -> dict[int, list[str]]:
    """The rooms on every floor, from the top to the bottom, as the table of the page names them."""
    found = FLOOR.findall(page.read_text(encoding="utf-8"))
    return {int(number): re.findall(r"`(\w+)`", rooms) for number, rooms in found}


def draw(floors: dict[int, list[str]]) -> str:
    """The floors as an SVG picture: a row of boxes for each, and one arrow down for all imports."""
    height = 2 * MARGIN + FLOOR_HEIGHT * len(floors)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
    ]
    for row, (number, rooms) in enumerate(floors.items()):
        parts += _floor(number, rooms, top=MARGIN + row * FLOOR_HEIGHT, last=row == len(floors) - 1)
    x, tip = WIDTH - MARGIN - 12, height - MARGIN - 8
    middle = height / 2
    parts += [
        f'<path class="arrow" d="M{x} {MARGIN + 8}V{tip - 8}"/>',
        f'<path class="head" d="M{x - 6} {tip - 10}h12l-6 10z"/>',
        f'<text class="small" text-anchor="middle" transform="translate({x - 10} {middle}) rotate(-90)">'
        "imports point down</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _floor(number: int, rooms: list[str], top: float, last: bool) -> list[str]:
    """The number of a floor, its rooms side by side in the middle, and the line below it."""
    widths = [len(room) * CHARACTER + 24 for room in rooms]
    left = SIDE + (WIDTH - 2 * SIDE - sum(widths) - GAP * (len(rooms) - 1)) / 2
    middle = top + FLOOR_HEIGHT / 2
    parts = [f'<text class="small" x="{MARGIN + 8}" y="{middle + 5}">{number}</text>']
    for room, width in zip(rooms, widths, strict=True):
        parts.append(
            f'<rect class="box" x="{left:.1f}" y="{middle - BOX_HEIGHT / 2}" width="{width:.1f}" '
            f'height="{BOX_HEIGHT}" rx="5"/>'
        )
        parts.append(f'<text text-anchor="middle" x="{left + width / 2:.1f}" y="{middle + 5}">{escape(room)}</text>')
        left += width + GAP
    if not last:
        bottom = top + FLOOR_HEIGHT
        parts.append(f'<path class="line" d="M{MARGIN} {bottom}H{WIDTH - SIDE + MARGIN}"/>')
    return parts


if __name__ == "__main__":
    PICTURE.write_text(draw(read_floors()), encoding="utf-8")
    print(PICTURE)
