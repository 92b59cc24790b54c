"""Small charts as SVG text, for reports that must show without any library or network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["bar_pairs", "histogram_pair"]

FIRST, SECOND = "#9aa5b1", "#d55e00"
_WIDTH = 720


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
    step = plot_width / len(first)
    bars = []
    for group, counts, colour, opacity in ((shares[0], first, FIRST, 1.0), (shares[1], second, SECOND, 0.6)):
        for index, share in enumerate(group):
            if counts[index]:
                size = max(1.0, share / top * plot_height)
                title = f"{edges[index]:.3f} to {edges[index + 1]:.3f}: {counts[index]:,} ({share:.1%})"
                bars.append(
                    f'<rect x="{left + index * step:.1f}" y="{10 + plot_height - size:.1f}" width="{step:.1f}" '
                    f'height="{size:.1f}" fill="{colour}" fill-opacity="{opacity}"><title>{title}</title></rect>'
                )
    ticks = [
        f'<text x="{left + position * plot_width:.0f}" y="{height - bottom + 16}" text-anchor="middle">'
        f"{edges[0] + position * (edges[-1] - edges[0]):.2f}</text>"
        for position in (0, 0.25, 0.5, 0.75, 1)
    ]
    base, right = 10 + plot_height, left + plot_width
    axis = f'<line x1="{left}" y1="{base}" x2="{right}" y2="{base}" stroke="currentColor"/>'
    labels = (
        f'<text x="{left + plot_width / 2}" y="{height - 6}" text-anchor="middle">{escape(unit)}</text>'
        f'<text x="{left - 6}" y="18" text-anchor="end">{top:.0%}</text>'
        f'<text x="{left - 6}" y="{14 + plot_height}" text-anchor="end">0</text>'
    )
    return _svg(height, "".join([*bars, axis, *ticks, labels])) + _legend(names)


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
    rows = []
    for index, label in enumerate(labels):
        y = index * row
        rows.append(f'<text x="{left - 8}" y="{y + 20}" text-anchor="end">{escape(label)}</text>')
        for value, colour, offset in ((first[index], FIRST, 4), (second[index], SECOND, 17)):
            width = value / top * (_WIDTH - left - right)
            rows.append(
                f'<rect x="{left}" y="{y + offset}" width="{width:.1f}" height="11" fill="{colour}"/>'
                f'<text x="{left + width + 5:.1f}" y="{y + offset + 10}">{value_format.format(value)}</text>'
            )
    return _svg(row * len(labels) + 6, "".join(rows)) + _legend(names)


def _svg(height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">{content}</svg>'


def _legend(names: tuple[str, str]) -> str:
    keys = [
        f'<span class="key"><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(names, (FIRST, SECOND), strict=True)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'
