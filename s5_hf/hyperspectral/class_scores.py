"""Where the first scores of a cube come from: a segmenter that looks at its picture, or a map of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ..imaging.decoded_pixels import MAXIMUM_PIXELS, require_decodable
from ..imaging.rasters import damage_named, unlimited_pixels
from ..imaging.windows import Window
from ..predictors.interfaces import SceneSegmenter
from ..predictors.log_probabilities import gives_log_probabilities
from .color_synthesis import color_weights
from .cube import HyperspectralCube
from .first_labels import SCALES, fused_scores, scores_of_labels
from .value_stretch import ValueStretch

__all__ = ["CubePicture", "LabelScores", "SegmenterScores", "read_labels"]

PICTURE_SHARE = 0.001
"""Share of the values of a picture that become black, and white."""

_MULTIPLE = 16


@dataclass(frozen=True)
class CubePicture:
    """The picture of a cube in three colours.

    Attributes:
        weights: `(3, bands)`: how much each band counts.
        stretch: of its values.
    """

    weights: np.ndarray
    stretch: ValueStretch

    @classmethod
    def of_cube(
        cls, cube: HyperspectralCube, windows: Sequence[Window], synthesis: str, bands: Sequence[int] | None
    ) -> CubePicture:
        """The picture of a cube.

        Args:
            cube: open.
            windows: that share it out.
            synthesis: as `color_weights` takes it.
            bands: three numbers of bands of the file for red, green and blue, in place of a synthesis.

        Raises:
            ValueError: as `color_weights`; a cube without wavelengths needs the bands; or a band is not read.
        """
        weights = _band_weights(cube, bands) if bands else _synthesis_weights(cube, synthesis)

        def values() -> Iterator[np.ndarray]:
            for window in windows:
                block, valid = cube.read(window)
                yield np.tensordot(weights, block[:, valid], axes=1)

        return cls(weights, ValueStretch.between_quantiles(values(), PICTURE_SHARE, 3 * cube.height * cube.width))

    def __call__(self, values: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """float32 `(height, width, 3)`, 0 to 1, of values `(bands, height, width)`; black where there is no data."""
        picture = self.stretch(np.moveaxis(np.tensordot(self.weights, values, axes=1), 0, -1))
        picture[~valid] = 0
        return picture


@dataclass(frozen=True)
class SegmenterScores:
    """Scores of a segmenter that sees the picture of a cube at several scales.

    Attributes:
        segmenter: of three channels.
        picture: of the cube.
    """

    segmenter: SceneSegmenter
    picture: CubePicture

    def __post_init__(self) -> None:
        if self.segmenter.num_labels < 2 or len(self.segmenter.image_mean) != 3:
            raise ValueError(
                "a cube is classified by a segmenter of three channels and at least two classes, got one of "
                f"{len(self.segmenter.image_mean)} and {self.segmenter.num_labels}"
            )

    @property
    def labels(self) -> list[str]:
        """Names of the classes."""
        return [self.segmenter.id2label[index] for index in range(self.segmenter.num_labels)]

    def __call__(self, cube: HyperspectralCube, window: Window) -> np.ndarray:
        """Scores of a window, float32 `(classes, height, width)`, 0 without data."""
        values, valid = cube.read(window)
        scores = fused_scores(self.picture(values, valid), self._probabilities, SCALES)
        scores[:, ~valid] = 0
        return scores

    @torch.inference_mode()
    def _probabilities(self, picture: np.ndarray) -> np.ndarray:
        segmenter = self.segmenter
        pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))[None]
        mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (segmenter.image_mean, segmenter.image_std))
        normalised = ((pixels - mean) / std).to(segmenter.device)
        if gives_log_probabilities(segmenter):  # an open-vocabulary model takes images of any size
            return segmenter.predict(normalised)[0].exp().float().cpu().numpy()
        height, width = picture.shape[:2]
        padded = functional.pad(normalised, (0, -width % _MULTIPLE, 0, -height % _MULTIPLE), mode="replicate")
        return segmenter.predict(padded)[0, :, :height, :width].softmax(dim=0).float().cpu().numpy()


@dataclass(frozen=True)
class LabelScores:
    """Scores of a map of labels.

    Attributes:
        first: integers `(height, width)`: the place of the class among the labels; 255 for none.
        labels: names of the classes.
    """

    first: np.ndarray
    labels: list[str]

    def __call__(self, cube: HyperspectralCube, window: Window) -> np.ndarray:
        """Scores of a window, float32 `(classes, height, width)`, 0 without data or label."""
        _, valid = cube.read(window)
        place = self.first[window.top : window.bottom, window.left : window.right]
        return scores_of_labels(np.where(valid, place, 255), len(self.labels))


def read_labels(path: str | Path, cube: HyperspectralCube, labels: Sequence[str]) -> LabelScores:
    """Read a map of labels: the numbers of the classes in their order from 0, and 255 for none.

    Raises:
        FileNotFoundError, OSError: there is no such file, or it cannot be read as an image.
        ValueError: it has another size than the cube, or a value that is neither a class nor 255; or there are fewer
            than two classes.
    """
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ValueError(f"expected two classes or more, each once, got {', '.join(labels) or 'none'}")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not a file; expected a map of first labels")
    with unlimited_pixels(), damage_named(path), Image.open(path) as image:
        require_decodable(image, Path(path), MAXIMUM_PIXELS)
        first = np.asarray(image)
    if first.shape != (cube.height, cube.width):
        size = f"{cube.width} x {cube.height}"
        raise ValueError(f"expected {size} labels, one for each pixel of {cube.name}; {path} has {first.shape}")
    unknown = np.setdiff1d(np.unique(first), [*range(len(labels)), 255])
    if unknown.size:
        raise ValueError(f"{path} has the value {unknown[0]}, which is neither one of {len(labels)} classes nor 255")
    return LabelScores(first, list(labels))


def _band_weights(cube: HyperspectralCube, bands: Sequence[int]) -> np.ndarray:
    if len(bands) != 3:
        raise ValueError(f"a picture takes three bands, for red, green and blue; got {len(bands)}")
    missing = [band for band in bands if band not in cube.bands]
    if missing:
        raise ValueError(f"band {missing[0]} of {cube.name} is not read; its bands: {_in_words(cube.bands)}")
    weights = np.zeros((3, len(cube.bands)))
    weights[np.arange(3), [cube.bands.index(band) for band in bands]] = 1
    return weights


def _synthesis_weights(cube: HyperspectralCube, synthesis: str) -> np.ndarray:
    if cube.wavelengths is None:
        raise ValueError(
            f"{cube.name} does not say the wavelengths of its bands: name the bands for red, green and blue, or give "
            "the wavelengths"
        )
    return color_weights(cube.wavelengths, synthesis)


def _in_words(bands: Sequence[int]) -> str:
    return f"{bands[0]} to {bands[-1]}" if len(bands) > 8 else ", ".join(map(str, bands))
