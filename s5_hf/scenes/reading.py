"""How a scene is read: which bands become channels, how values become bytes, and what holds no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..imaging.rasters import Scaling

__all__ = ["SceneReading", "default_bands", "require_bands"]


@dataclass(frozen=True)
class SceneReading:
    """How a scene is read.

    Attributes:
        bands: which bands, counted from 1, become the channels. By default red, green and blue as the file names
            them, or all bands if there are as many as channels; a single band is repeated. A band that marks
            transparency (alpha) says which pixels hold data, unless it is one of the channels.
        scaling: how other value types become 8-bit; percentiles 2 and 98 of a sample if left out.
        nodata: pixels with this value in all bands hold no data; by default what the file says.
        maximum_pixels: of an image that is decoded as a whole, against files that claim to be huge;
            `MAXIMUM_PIXELS` if left out.
    """

    bands: Sequence[int] | None = None
    scaling: Scaling | None = None
    nodata: float | None = None
    maximum_pixels: int | None = None


def default_bands(colors: Sequence[int], count: int, num_channels: int) -> Sequence[int]:
    """The bands that become the channels unless others are chosen: the colours, a single one repeated, or all bands.

    Args:
        colors: numbers of the bands that do not mark transparency, from 1.
        count: of all bands.
        num_channels: of the network.
    """
    if len(colors) == 1:
        return [*colors] * num_channels
    return range(1, count + 1) if len(colors) < count == num_channels else colors


def require_bands(bands: Sequence[int], num_channels: int, count: int, name: str, described: str) -> None:
    """Raise a ValueError unless there is a band for every channel and the scene has it."""
    if len(bands) == num_channels and all(1 <= band <= count for band in bands):
        return
    chosen = ", ".join(map(str, bands)) or "none"
    raise ValueError(
        f"the network takes {num_channels} channels, and of {name} the bands {chosen} were chosen. "
        f"It has: {described}. Choose {num_channels} of them with bands=(...) or --bands, such as --bands "
        f"{','.join(str(min(index + 1, count)) for index in range(num_channels))}"
    )
