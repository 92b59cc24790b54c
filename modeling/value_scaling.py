"""Values of any type to bytes, channel by channel: what 16-bit and float imagery goes through before the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np


class ByteScaling:
    """A linear map of one range per channel to 0..255, clipped and rounded.

    Args:
        low, high: the range of each channel, in the units of the image.
        dtype: of the values. Up to 16 bits a table does the work, beyond that arithmetic.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], dtype: np.dtype) -> None:
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
    def of_sample(cls, sample: np.ma.MaskedArray, percentiles: tuple[float, float], dtype: np.dtype) -> "ByteScaling":
        """The range of each channel from two percentiles, in 0..100, of a sample `(channels, pixels)`; what is masked
        is left out, and a channel without any valid value gives 0."""
        ranges = np.zeros((2, len(sample)))
        for channel, values in enumerate(sample):
            valid = values.compressed()
            if valid.size:
                ranges[:, channel] = np.percentile(valid, percentiles)
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


@dataclass(frozen=True)
class ValueScaling:
    """The ranges of values that a model was trained with, which become 0..255 before rescaling and normalisation.

    Attributes:
        low, high: the range of each channel, in the units of the images; what lies outside is clipped.

    Raises:
        ValueError: if there is not one rising pair of finite numbers per channel.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = len(self.low) == len(self.high) > 0 and all(
            np.isfinite(low) and np.isfinite(high) and low < high
            for low, high in zip(self.low, self.high, strict=True)
        )
        if not rising:
            raise ValueError(
                f"value_scaling has low {list(self.low)} and high {list(self.high)}, expected one finite number of "
                "each per channel, low below high"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ValueScaling":
        """Read what `to_dict` gave, as a processor's configuration holds it.

        Raises:
            ValueError: if it is something else.
        """
        if not isinstance(values, Mapping) or set(values) != {"low", "high"}:
            raise ValueError(f'value_scaling is {values!r}, expected {{"low": [...], "high": [...]}}')
        try:
            return cls(*(tuple(float(number) for number in values[name]) for name in ("low", "high")))
        except TypeError as error:
            raise ValueError(f"value_scaling is {values!r}, expected a list of numbers for low and high") from error

    def to_dict(self) -> dict[str, list[float]]:
        """The form of a processor's configuration."""
        return {"low": list(self.low), "high": list(self.high)}

    def require_depth(self, dtype: np.dtype | str, name: str) -> None:
        """Raise a ValueError for 8-bit images where the ranges are those of more bits."""
        if np.dtype(dtype) == np.uint8 and min(self.high) > 255:
            raise ValueError(
                f"{name} has 8 bits per channel, but the model takes values up to {min(self.high):g} and more: give "
                "images of the depth it was trained on, or another range of values"
            )

    def to_bytes(self, pixels: np.ndarray, name: str = "the image") -> np.ndarray:
        """Values `(height, width, channels)` of any real type as uint8 of the same shape.

        What is masked, or not a number, becomes 0 in all channels, as where a scene holds no data.

        Raises:
            ValueError: for another number of channels or another type; both sides are named.
        """
        if pixels.ndim != 3 or pixels.shape[2] != len(self.low):
            raise ValueError(
                f"{name} has the shape {pixels.shape}, expected (height, width, {len(self.low)}): the values of "
                f"{len(self.low)} channels are scaled"
            )
        if pixels.dtype.kind not in "iuf":
            raise ValueError(f"{name} has the type {pixels.dtype}, expected whole or real numbers")
        self.require_depth(pixels.dtype, name)
        values = np.ma.getdata(pixels).transpose(2, 0, 1)
        missing = np.ma.getmaskarray(pixels).any(axis=2) if np.ma.is_masked(pixels) else None
        if values.dtype.kind == "f":
            broken = ~np.isfinite(values).all(axis=0)
            missing = broken if missing is None else missing | broken
        scaled = np.ascontiguousarray(_byte_scaling(self, values.dtype).to_bytes(values).transpose(1, 2, 0))
        if missing is not None:
            scaled[missing] = 0
        return scaled


@lru_cache(maxsize=16)
def _byte_scaling(scaling: ValueScaling, dtype: np.dtype) -> ByteScaling:
    return ByteScaling(scaling.low, scaling.high, dtype)


__all__ = ["ByteScaling", "ValueScaling"]
