"""Charts as SVG text: histograms, bars and curves that show without any library or network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from .parts import color_legend

__all__ = ["Points", "bar_pairs", "histogram_pair", "line_chart"]

Points = Sequence[tuple[float, float]]

COLORS = ("#9aa5b1", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
_WIDTH = 720
_CURVE_WIDTH, _CURVE_HEIGHT = 350, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 12, 38
_TICKS = 5


def histogram_pair(
    edges: Sequence[float], first: Sequence[int], second: Sequence[int], names: tuple[str, str], unit: str
) -> str:
    """Two histograms over each other, each scaled to shares of its own total so that shapes can be compared.

    Args:
        edges: bins + 1 ascending values.
        first, second: counts per bin.
        names: of the two.
        unit: written at the axis.
    """
    height, left, bottom = 220, 50, 40
    shares = [[count / max(1, sum(counts)) for count in counts] for counts in (first, second)]
    top = max(max(group, default=0) for group in shares) or 1.0
    plot_width, plot_height = _WIDTH - left - 24, height - bottom - 10
    step, base = plot_width / len(first), 10 + plot_height
    parts = []
    for group, counts, color, opacity in ((shares[0], first, COLORS[0], 1.0), (shares[1], second, COLORS[1], 0.6)):
        for index, share in enumerate(group):
            if counts[index]:
                size = max(1.0, share / top * plot_height)
                title = f"{edges[index]:.3f} to {edges[index + 1]:.3f}: {counts[index]:,} ({share:.1%})"
                parts.append(
                    f'<rect x="{left + index * step:.1f}" y="{base - size:.1f}" width="{step:.1f}" '
                    f'height="{size:.1f}" fill="{color}" fill-opacity="{opacity}"><title>{title}</title></rect>'
                )
    parts.append(f'<line x1="{left}" y1="{base}" x2="{left + plot_width}" y2="{base}" stroke="currentColor"/>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = edges[0] + share * (edges[-1] - edges[0])
        parts.append(_text(left + share * plot_width, height - bottom + 16, f"{value:.2f}"))
    parts.append(_text(left + plot_width / 2, height - 6, unit))
    parts += [_text(left - 6, 18, f"{top:.0%}", "end"), _text(left - 6, base + 4, "0", "end")]
    return _svg(_WIDTH, height, parts) + color_legend(names, COLORS[:2])


def bar_pairs(
    labels: Sequence[str],
    first: Sequence[float],
    second: Sequence[float],
    names: tuple[str, str],
    value_format: str = "{:,.0f}",
) -> str:
    """Horizontal bars, two per label on one scale, each with its value."""
    row, left, right = 34, 170, 90
    top = max([*first, *second, 0]) or 1.0
    parts = []
    for index, label in enumerate(labels):
        y = index * row
        parts.append(_text(left - 8, y + 20, label, "end"))
        for value, color, offset in ((first[index], COLORS[0], 4), (second[index], COLORS[1], 17)):
            width = value / top * (_WIDTH - left - right)
            parts.append(f'<rect x="{left}" y="{y + offset}" width="{width:.1f}" height="11" fill="{color}"/>')
            parts.append(_text(left + width + 5, y + offset + 10, value_format.format(value), "start"))
    return _svg(_WIDTH, row * len(labels) + 6, parts) + color_legend(names, COLORS[:2])


def line_chart(series: Mapping[str, Points], x_name: str, y_name: str) -> str:
    """Several curves over one another, with a legend.

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
        across = _LEFT + x / max(right, 1e-9) * (_CURVE_WIDTH - _LEFT - _RIGHT)
        return across, _TOP + (high - y) / (high - low) * (_CURVE_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid_line(*place(0, value), value) for value in ticks(low, high)]
    for color, (name, points) in zip(COLORS, finite.items(), strict=False):
        places = [place(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{color}">'
            f"<title>{escape(name)}, {escape(x_name)} {point[0]:g}: {point[1]:.4f}</title></circle>"
            for (x, y), point in zip(places, points, strict=True)
        ]
    for share in (0, 0.5, 1):
        x = _LEFT + share * (_CURVE_WIDTH - _LEFT - _RIGHT)
        parts.append(_text(x, _CURVE_HEIGHT - 20, f"{share * right:.0f}"))
    parts.append(_text((_LEFT + _CURVE_WIDTH - _RIGHT) / 2, _CURVE_HEIGHT - 4, x_name))
    legend = color_legend(list(finite)[: len(COLORS)], COLORS[: len(finite)])
    svg = _svg(_CURVE_WIDTH, _CURVE_HEIGHT, parts)
    return f'<div class="chart"><b>{escape(y_name)}</b>{svg}{legend}</div>'


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


def _grid_line(x: float, y: float, value: float) -> str:
    """A horizontal line with its value."""
    end = _CURVE_WIDTH - _RIGHT
    line = f'<line x1="{x:.0f}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" opacity=".15"/>'
    return line + _text(x - 6, y + 4, f"{value:.3g}", "end")


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{"".join(parts)}</svg>'
