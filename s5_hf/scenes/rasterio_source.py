"""Scenes that rasterio opens, read row by row so that memory does not depend on their height."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..dataset_builders.band_files import color_bands, describe_bands, require_real, valid_pixels
from ..dataset_builders.credentials import without_credentials
from ..imaging.rasters import Scaling, damage_named, open_dataset
from ..imaging.scene_files import is_remote
from ..imaging.windows import window_starts
from ..modeling.value_scaling import ByteScaling
from .reading import SceneReading, default_bands, require_bands

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

__all__ = ["RasterioScene", "open_with_rasterio"]

# Percentiles come from at most 8 x 8 pieces of 256 x 256 pixels, spread over the scene: 4 million pixels.
_SAMPLE_SIDE = 256
_SAMPLE_GRID = 8
_MEGABYTE = 2**20

# No search for files beside the scene; and no HEAD requests, which signed URLs refuse.
_REMOTE_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_VSIL_CURL_USE_HEAD": "NO"}

# Seconds for a connection, and for how long a server may send fewer bytes per second before it is given up. A variable
# of that name in the environment counts instead; GDAL_HTTP_TIMEOUT there limits each request as a whole.
_STALL_OPTIONS = {
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
}


@contextmanager
def open_with_rasterio(source: str | Path, num_channels: int, reading: SceneReading) -> Iterator[RasterioScene]:
    """Open a scene; arguments and errors as `open_scene`."""
    import rasterio

    # GDAL keeps up to 5 % of the machine's memory as a cache; a row of tiles is all that reading rows needs.
    # A local VRT may point to a server, so the time limits always apply.
    options = {name: value for name, value in _STALL_OPTIONS.items() if name not in os.environ}
    options |= _REMOTE_OPTIONS if is_remote(source) else {}
    with rasterio.Env(GDAL_CACHEMAX=32 * _MEGABYTE, **options), open_dataset(source) as dataset:
        row_of_tiles = dataset.block_shapes[0][0] * dataset.width * sum(_bytes(kind) for kind in dataset.dtypes)
        with rasterio.Env(GDAL_CACHEMAX=32 * _MEGABYTE + row_of_tiles):
            yield RasterioScene(dataset, source, num_channels, reading)


class RasterioScene:
    """Any image that GDAL reads; see `SceneSource`."""

    def __init__(self, dataset: DatasetReader, source: str | Path, num_channels: int, reading: SceneReading) -> None:
        self.name = without_credentials(str(source))
        self.width, self.height = dataset.width, dataset.height
        self.crs = dataset.crs
        self.transform = None if dataset.crs is None and dataset.transform.is_identity else dataset.transform
        self.notes: list[str] = []
        if dataset.crs is None:
            self.notes.append(f"{source} has no CRS: the result has none either, and areas are given in pixels only")
        self._dataset = dataset
        described = list(zip(dataset.descriptions, (color.name for color in dataset.colorinterp), strict=True))
        default = self._default_bands(num_channels) if reading.bands is None else []
        self.bands = reading.numbers(default, described, self.name, describe_bands(dataset))
        require_bands(self.bands, num_channels, dataset.count, self.name, describe_bands(dataset))
        require_real(dataset, self.bands, self.name)
        self._nodata = dataset.nodatavals[self.bands[0] - 1] if reading.nodata is None else reading.nodata
        # A mask of the file's own (alpha band, mask file) counts unless the user names a value.
        self._has_mask = reading.nodata is None and self._has_own_mask()
        self._require_readable()
        self._scaling = self._byte_scaling(reading.scaling or Scaling())
        ranges = [] if self._scaling is None else [self._scaling.low.tolist(), self._scaling.high.tolist()]
        self.fingerprint = f"{_identity(source)} {self.bands} {ranges} {self._nodata}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        from rasterio.windows import Window

        window = Window(0, top, self.width, bottom - top)
        values = self._read(window=window)
        valid = self._valid(values, window)
        pixels = values if self._scaling is None else self._scaling.to_bytes(values)
        if valid is not None:
            pixels[:, ~valid] = 0
        return pixels, valid

    def _default_bands(self, num_channels: int) -> Sequence[int]:
        names = [color.name for color in self._dataset.colorinterp]
        if num_channels == 3 and all(names.count(color) == 1 for color in ("red", "green", "blue")):
            return [names.index(color) + 1 for color in ("red", "green", "blue")]
        if names == ["palette"]:
            raise ValueError(
                f"{self.name} holds numbers of a colour table, not colours; expand it first: "
                "gdal_translate -expand rgb"
            )
        colors = color_bands(self._dataset)
        if len(colors) == 1 and num_channels > 1:
            self.notes.append(f"{self.name} has a single band, which serves as all {num_channels} channels")
        return default_bands(colors, len(names), num_channels)

    def _has_own_mask(self) -> bool:
        """Whether the file says which pixels hold data, by a mask or by transparency that is not a channel itself."""
        flags = {flag.name for flag in self._dataset.mask_flag_enums[self.bands[0] - 1]}
        if "alpha" not in flags:
            return "per_dataset" in flags
        alpha = [index for index, color in enumerate(self._dataset.colorinterp, start=1) if color.name == "alpha"]
        if set(alpha) & set(self.bands):
            return False
        self.notes.append(
            f"{self.name} marks band {alpha[0]} as transparency (alpha): pixels with 0 in it hold no data. If the "
            "band is data, such as infrared, switch this off with nodata=nan or --nodata nan"
        )
        return True

    def _require_readable(self) -> None:
        """Read the last pixel, so that a file that is cut off fails before any work is done."""
        from rasterio.windows import Window

        self._read(window=Window(self.width - 1, self.height - 1, 1, 1))

    def _byte_scaling(self, scaling: Scaling) -> ByteScaling | None:
        kinds = {self._dataset.dtypes[band - 1] for band in self.bands}
        kind = kinds.pop() if len(kinds) == 1 else "float64"  # bands of several types are read as the widest
        fixed = scaling.fixed(len(self.bands), kind, self.name)
        if fixed is not None or kind == "uint8":
            return fixed
        return ByteScaling.of_sample(self._sample(), scaling.percentiles, kind)

    def _sample(self) -> np.ma.MaskedArray:
        """Values `(channels, pixels)` of pieces spread over the scene, masked where they hold no data."""
        from rasterio.windows import Window

        def starts(length: int) -> list[int]:
            if length <= _SAMPLE_GRID * _SAMPLE_SIDE:
                return window_starts(length, _SAMPLE_SIDE, _SAMPLE_SIDE)
            return np.linspace(0, length - _SAMPLE_SIDE, _SAMPLE_GRID).astype(int).tolist()

        pieces = []
        for top in starts(self.height):
            for left in starts(self.width):
                width, height = min(_SAMPLE_SIDE, self.width - left), min(_SAMPLE_SIDE, self.height - top)
                window = Window(left, top, width, height)
                values = self._read(window=window)
                valid = self._valid(values, window)
                mask = np.zeros(values.shape, dtype=bool) if valid is None else np.broadcast_to(~valid, values.shape)
                pieces.append(np.ma.masked_array(values, mask).reshape(len(values), -1))
        return np.ma.masked_invalid(np.ma.concatenate(pieces, axis=1))

    def _valid(self, values: np.ndarray, window: object) -> np.ndarray | None:
        """Where the pixels `(channels, height, width)` hold data, bool `(height, width)`; None for everywhere."""
        return valid_pixels(values, self._nodata, self._read_mask(window) if self._has_mask else None)

    def _read(self, **options: object) -> np.ndarray:
        with damage_named(self.name):
            return self._dataset.read(self.bands, **options)

    def _read_mask(self, window: object) -> np.ndarray:
        with damage_named(self.name):
            return self._dataset.read_masks(self.bands[0], window=window) > 0


def _bytes(kind: str) -> int:
    # Complex integers are a type of GDAL alone; of such a file the other bands may be wanted.
    return 4 if kind == "complex_int16" else np.dtype(kind).itemsize


def _identity(source: str | Path) -> str:
    """A name for the file that changes when its content does, as far as that can be seen from outside."""
    if is_remote(source):
        return str(source)
    stat = Path(source).stat()
    return f"{Path(source).resolve()} {stat.st_size} {stat.st_mtime_ns}"
