"""Values of any type to bytes, channel by channel: what 16-bit and float imagery goes through before the network."""

from dataclasses import dataclass

import numpy as np

__all__ = ["ByteScaling", "Scaling"]


@dataclass(frozen=True)
class Scaling:
    """How values that are not 8-bit become 8-bit: a linear map, clipped, of a range to 0..255.

    Attributes:
        percentiles: lower and upper percentile, in 0..100, of each band of the whole image; the range when `values`
            is not given.
        values: a fixed range (low, high), the same for all bands and images. Also applied to 8-bit images.
    """

    percentiles: tuple[float, float] = (2.0, 98.0)
    values: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"Percentiles must be two rising numbers in 0..100, got {low:g} and {high:g}.")
        if self.values is not None and not self.values[0] < self.values[1]:
            raise ValueError(f"A value range must rise, got {self.values[0]:g} and {self.values[1]:g}.")


class ByteScaling:
    """A linear map of one range per channel to 0..255, clipped and rounded.

    Args:
        low, high: the range of each channel, in the units of the scene.
        dtype: of the values. Up to 16 bits a table does the work, beyond that arithmetic.
    """

    def __init__(self, low: np.ndarray, high: np.ndarray, dtype: np.dtype) -> None:
        self.low = np.asarray(low, dtype=np.float64)
        self.high = np.asarray(high, dtype=np.float64)
        self._span = np.maximum(self.high - self.low, np.finfo(np.float32).tiny)
        self._tables: np.ndarray | None = None
        self._first = 0
        dtype = np.dtype(dtype)
        if dtype.kind in "iu" and dtype.itemsize <= 2:
            limits = np.iinfo(dtype)
            self._first = limits.min
            values = np.arange(limits.min, limits.max + 1, dtype=np.float64)
            self._tables = np.stack([self._map(values, channel) for channel in range(len(self.low))])

    @classmethod
    def fixed(cls, values: tuple[float, float], num_channels: int, dtype: np.dtype) -> "ByteScaling":
        """One range for all channels."""
        return cls(np.full(num_channels, values[0]), np.full(num_channels, values[1]), dtype)

    @classmethod
    def of_sample(cls, sample: np.ma.MaskedArray, scaling: Scaling, dtype: np.dtype) -> "ByteScaling":
        """The range of each channel from the percentiles of a sample `(channels, pixels)`; what is masked is left
        out, and a channel without any valid value gives 0."""
        ranges = np.zeros((2, len(sample)))
        for channel, values in enumerate(sample):
            valid = values.compressed()
            if valid.size:
                ranges[:, channel] = np.percentile(valid, scaling.percentiles)
        return cls(ranges[0], ranges[1], dtype)

    def to_bytes(self, pixels: np.ndarray) -> np.ndarray:
        """Values `(channels, height, width)` as uint8 of the same shape; what is not a number becomes 0."""
        if self._tables is not None:
            offset = pixels.astype(np.int32) - self._first if self._first else pixels
            return np.stack([table[channel] for table, channel in zip(self._tables, offset, strict=True)])
        return np.stack([self._map(values, channel) for channel, values in enumerate(pixels)])

    def _map(self, values: np.ndarray, channel: int) -> np.ndarray:
        share = (values.astype(np.float64) - self.low[channel]) / self._span[channel]
        return np.rint(np.clip(np.nan_to_num(share, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)
