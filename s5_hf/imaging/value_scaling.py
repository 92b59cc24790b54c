"""How the values of an image that is not of 8 bits are chosen to become 8-bit."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    # Imported where it is used: `modeling` loads torch and transformers, for which processes that read pictures of
    # 8 bits should not wait.
    from ..modeling.value_scaling import ByteScaling, ValueScaling

__all__ = ["ByteScaling", "Scaling", "ValueScaling"]


def __getattr__(name: str) -> type:
    """`ByteScaling` and `ValueScaling`, which are part of `modeling`, when they are asked for."""
    if name not in ("ByteScaling", "ValueScaling"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ..modeling import value_scaling

    return getattr(value_scaling, name)


@dataclass(frozen=True)
class Scaling:
    """How values that are not 8-bit become 8-bit: a linear map, clipped, of a range to 0..255.

    Attributes:
        percentiles: lower and upper percentile, in 0..100, of each band of the whole image; the range when neither
            `values` nor `ranges` are given.
        values: a fixed range (low, high), the same for all bands and images. Also applied to 8-bit images.
        ranges: a range for each channel, such as those of the images that a model was trained on.
    """

    percentiles: tuple[float, float] = (2.0, 98.0)
    values: tuple[float, float] | None = None
    ranges: "ValueScaling | None" = None

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"Percentiles must be two rising numbers in 0..100, got {low:g} and {high:g}.")
        if self.values is not None and not self.values[0] < self.values[1]:
            raise ValueError(f"A value range must rise, got {self.values[0]:g} and {self.values[1]:g}.")
        if self.values is not None and self.ranges is not None:
            raise ValueError("Give one range of values for all bands, or a range for each, not both.")

    def fixed(self, num_channels: int, dtype: np.dtype | str, name: str) -> "ByteScaling | None":
        """The scaling that needs no look at the image; `None` where percentiles or nothing at all are to be taken.

        Args:
            num_channels: of the image.
            dtype: of its values.
            name: of the image, for messages.

        Raises:
            ValueError: if there are ranges for another number of channels, or the image has too few bits for them.
        """
        if self.values is None and self.ranges is None:
            return None
        from ..modeling.value_scaling import ByteScaling

        if self.values is not None:
            return ByteScaling.fixed(self.values, num_channels, dtype)
        if len(self.ranges.low) != num_channels:
            raise ValueError(f"{name} gives {num_channels} channels, but ranges of {len(self.ranges.low)} are known")
        self.ranges.require_depth(dtype, name)
        return ByteScaling(self.ranges.low, self.ranges.high, dtype)
