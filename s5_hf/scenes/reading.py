"""How a scene is read: which bands become channels, how values become bytes, and what holds no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..dataset_builders.band_files import band_numbers
from ..imaging.rasters import Scaling

__all__ = ["SceneReading", "default_bands", "require_bands"]


@dataclass(frozen=True)
class SceneReading:
    """How a scene is read.

    Attributes:
        bands: which bands, by number from 1 or by name (description or colour), become the channels; by default those
            that the model was trained on. Where it names none: red, green and blue as the file names them, or all
            bands if there are as many as channels; a single band is repeated. A band that marks transparency (alpha)
            says which pixels hold data, unless it is one of the channels.
        scaling: how other value types become 8-bit; by default as in the training of the model. Where it says
            nothing: percentiles 2 and 98 of a sample of each scene.
        nodata: pixels with this value in all bands hold no data; by default what the file says.
        maximum_pixels: of an image that is decoded as a whole, against files that claim to be huge;
            `MAXIMUM_PIXELS` if left out.
        asset: the image of a STAC item that is read, as `item_asset` takes it.
    """

    bands: Sequence[int | str] | None = None
    scaling: Scaling | None = None
    nodata: float | None = None
    maximum_pixels: int | None = None
    asset: str | None = None

    def numbers(
        self, default: Sequence[int], described: Sequence[tuple[str | None, str]], name: str, words: str
    ) -> list[int]:
        """The numbers of the bands that become the channels.

        Args:
            default: where none are chosen.
            described, name, words: of the file, as `band_numbers` takes them.

        Raises:
            ValueError: if the file has no band of a chosen name.
        """
        if self.bands is None:
            return list(default)
        chosen = list(self.bands)
        if not any(isinstance(band, str) for band in chosen):
            return chosen  # whether there are such bands is seen together with the number of channels
        return band_numbers(chosen, described, name, words)

    def as_trained(self, network: object) -> SceneReading:
        """This reading with the bands and the scaling of a network where it says nothing itself.

        Args:
            network: with `bands` and `value_scaling`, if its image processor holds them.
        """
        bands, scaling = getattr(network, "bands", None), getattr(network, "value_scaling", None)
        chosen = bands if self.bands is None and bands is not None else self.bands
        if self.scaling is None and scaling is not None:
            return replace(self, bands=chosen, scaling=Scaling(ranges=scaling))
        return replace(self, bands=chosen)


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
