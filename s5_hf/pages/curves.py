"""Curves over training steps as SVG text: no library, no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["Points", "line_chart"]

Points = Sequence[tuple[float, float]]

COLOURS = ("#9aa5b1", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
_WIDTH, _HEIGHT = 350, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 12, 38
_TICKS = 5


def line_chart(series: Mapping[str, Points], x_name: str, y_name: str) -> str:
    """Several curves over one another, with legend.

    Args:
        series: points (x, y) by name, ascending in x; points that are not finite are left out. Up to six.
        x_name, y_name: written at the axes.
    """
    finite = {name: [point for point in points if math.isfinite(point[1])] for name, points in series.items()}
    everything = [point for points in finite.values() for point in points]
    if not everything:
        return f"<p class='note'>no values of {escape(y_name)}</p>"
    right = max(x for x, _ in everything)
    low, high = value_range([y for _, y in everything])

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + x / max(right, 1e-9) * (_WIDTH - _LEFT - _RIGHT)
        return across, _TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [grid_line(*place(0, value), value) for value in ticks(low, high)]
    for colour, (name, points) in zip(COLOURS, finite.items(), strict=False):
        places = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dots = "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}">'
            f"<title>{escape(name)}, {escape(x_name)} {point[0]:g}: {point[1]:.4f}</title></circle>"
            for (x, y), point in zip(places, points, strict=True)
        )
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}')
    for share in (0, 0.5, 1):
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT - 20}" text-anchor="middle">{share * right:.0f}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_name)}</text>')
    keys = [
        f'<span class="key"><i style="background:{colour}"></i>{escape(name)}</span>'
        for colour, name in zip(COLOURS, finite, strict=False)
    ]
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">{"".join(parts)}</svg>'
    )
    return f'<div class="chart"><b>{escape(y_name)}</b>{svg}<p class="legend">{"".join(keys)}</p></div>'


def value_range(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the vertical axis, with some room; from 0 where 0 is near."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (0.0 if 0 <= low < 0.5 * high else low - room), high + room


def ticks(low: float, high: float) -> list[float]:
    """Round values between the ends of an axis."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    distance = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / distance)
    return [index * distance for index in range(first, math.floor(high / distance) + 1)]


def grid_line(x: float, y: float, value: float) -> str:
    """A horizontal line with its value."""
    return (
        f'<line x1="{x:.0f}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity=".15"/>'
        f'<text x="{x - 6:.0f}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    )
