"""A picture of a scene with its roads."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ...imaging.palettes import Color
from ...imaging.sheets import add_legend
from ...roads.graphs import RoadGraph
from ..reduction import MAX_OVERLAY_SIDE, reduce_scene, reduction_factor
from ..source import SceneSource

__all__ = ["draw_graph", "draw_roads"]

_SURE, _UNSURE = 0.8, 0.6
_COLORS: tuple[Color, Color, Color] = ((255, 214, 10), (255, 136, 0), (230, 57, 70))
_LABELS = (f"road, {_SURE} and above", f"road, {_UNSURE} and above", "road, less sure")
_NODE: Color = (255, 255, 255)


def draw_roads(graph: RoadGraph, confidence: np.ndarray, scene: SceneSource) -> Image.Image:
    """The scene, read once more from top to bottom, with at most `MAX_OVERLAY_SIDE` pixels a side, and its roads.

    Args:
        graph: in pixels of the scene.
        confidence: of the edges, `(m,)`, 0..1: the colour of a road tells how sure it is.
        scene: what lies below.
    """
    factor = reduction_factor(scene.width, scene.height, MAX_OVERLAY_SIDE)
    picture = draw_graph(Image.fromarray(reduce_scene(scene, factor)), graph, confidence, 1 / factor)
    return add_legend(picture, _LABELS, _COLORS)


def draw_graph(picture: Image.Image, graph: RoadGraph, confidence: np.ndarray, scale: float = 1.0) -> Image.Image:
    """A copy of a picture with a graph on it; crossings and ends are dots.

    Args:
        picture: RGB.
        graph: in pixels of what the picture shows.
        confidence: of the edges, `(m,)`, 0..1.
        scale: pixels of the picture per pixel of the graph.
    """
    drawn = picture.convert("RGB")
    draw = ImageDraw.Draw(drawn)
    nodes = graph.nodes * scale
    width = max(2, round(max(drawn.size) / 500))
    # The sure ones last, so that they lie on top.
    for row in np.argsort(confidence, kind="stable").tolist():
        color = _COLORS[int(confidence[row] < _SURE) + int(confidence[row] < _UNSURE)]
        first, second = graph.edges[row]
        draw.line([tuple(nodes[first]), tuple(nodes[second])], fill=color, width=width)
    degrees = graph.degrees()
    for x, y in nodes[(degrees != 2) & (degrees > 0)].tolist():
        draw.ellipse([x - width, y - width, x + width, y + width], fill=_NODE)
    return drawn
