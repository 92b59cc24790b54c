"""How a scene is cut for its roads, and which points and connections are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...roads.road_nodes import NodeSettings
from ..window_grid import BLENDINGS, WindowGrid

__all__ = ["RoadSettings", "road_grid"]

_STEP = 16  # the stride of the networks


# The windows are described as in `WindowSettings`: each docstring is read alone.
@dataclass(frozen=True)
class RoadSettings:
    """How a scene is cut, and which points and connections are kept; the defaults are those of SAM-Road++ for
    City-Scale, with fewer windows (the release has 256 on 2048 x 2048 pixels, an overlap of 0.82).

    Attributes:
        window: side of a window in pixels, a multiple of 16. A scene that is smaller gets one window of its size,
            extended by repeating its border.
        overlap: share of a window that the next one covers again, 0 to 0.9; at least `neighbor_radius` pixels, so
            that all neighbours meet in some window.
        blending: of the scores, `"cosine"`, `"gaussian"` or `"flat"` (their mean, as in the release).
        batch_size: windows per forward pass.
        keypoint_threshold, road_threshold, keypoint_spacing, road_spacing: of nodes, as `NodeSettings`.
        topology_threshold: lowest mean vote of a connection, exclusive, 0..1.
        max_neighbors: the network is asked about so many neighbours of a node.
        neighbor_radius: which are nearer than so many pixels.
        extend_small_scenes: whether a scene smaller than a window is extended to a whole one, for networks that take
            one size only; otherwise only to the next multiple of 16.

    Raises:
        ValueError: a value is out of range.
    """

    window: int = 512
    overlap: float = 0.5
    blending: str = "cosine"
    batch_size: int = 4
    keypoint_threshold: float = 0.242
    road_threshold: float = 0.404
    topology_threshold: float = 0.443
    keypoint_spacing: float = 8.0
    road_spacing: float = 16.0
    max_neighbors: int = 16
    neighbor_radius: float = 64.0
    extend_small_scenes: bool = False

    def __post_init__(self) -> None:
        if self.window < _STEP or self.window % _STEP:
            raise ValueError(f"window must be a positive multiple of {_STEP} pixels, got {self.window}")
        if not 0 <= self.overlap <= 0.9:
            raise ValueError(f"overlap must be a share from 0 to 0.9 of the window, got {self.overlap:g}")
        if self.blending not in BLENDINGS:
            raise ValueError(f"blending must be one of {', '.join(BLENDINGS)}, got {self.blending!r}")
        for name in ("batch_size", "max_neighbors", "neighbor_radius"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.topology_threshold <= 1:
            raise ValueError(f"topology_threshold must be in 0..1, got {self.topology_threshold}")
        if self.window * self.overlap < self.neighbor_radius:
            raise ValueError(
                f"windows of {self.window} pixels with an overlap of {self.overlap:g} share "
                f"{self.window * self.overlap:g} pixels; neighbours up to {self.neighbor_radius:g} pixels apart need "
                f"an overlap of at least {self.neighbor_radius / self.window:.3g}"
            )
        _ = self.nodes  # which says what is wrong with them

    @property
    def nodes(self) -> NodeSettings:
        """Thresholds and radii of nodes."""
        return NodeSettings(self.keypoint_threshold, self.road_threshold, self.keypoint_spacing, self.road_spacing)

    @classmethod
    def chosen(cls, defaults: Mapping[str, Any], **options: Any) -> RoadSettings:
        """Settings of a model, with those replaced that a user gives (that are not None).

        Raises:
            TypeError: there is no such setting.
            ValueError: a value is out of range.
        """
        given = {name: value for name, value in options.items() if value is not None}
        known = {field.name for field in fields(cls)}
        return cls(**{**{name: value for name, value in defaults.items() if name in known}, **given})


def road_grid(height: int, width: int, settings: RoadSettings) -> WindowGrid:
    """The windows over a scene of that size."""
    if settings.extend_small_scenes:
        sides = (settings.window, settings.window)
    else:
        sides = tuple(min(settings.window, -(-length // _STEP) * _STEP) for length in (height, width))
    strides = tuple(max(1, int(length * (1 - settings.overlap))) for length in sides)
    return WindowGrid.over(height, width, sides, strides)
