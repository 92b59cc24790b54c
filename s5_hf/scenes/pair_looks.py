"""The later of two dates with the look of the earlier one, so that season and light are not taken for changes.

Source of the matching of colours: relative radiometric normalisation by mean and standard deviation (Yang and Lo,
2000); of the translation: SRUIT (arXiv 2502.11468).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..predictors.torch_translator import TorchTranslator, load_translator
from .scene_pairs import ScenePair
from .segmentation.scene_probabilities import WindowSettings
from .source import SceneSource
from .translation import TRANSLATION_WINDOWS, TranslatedScene, translate_rows

__all__ = ["ColorMatching", "PairLook", "PairTranslation", "choose_look", "looking_alike"]

ROWS = 512
"""Read at once."""


class PairLook(Protocol):
    """Gives the later scene of a pair the look of the earlier one."""

    def applied(self, pair: ScenePair, work: Path, resume: bool, report: Callable[[str], None]) -> ScenePair:
        """The pair with another later scene.

        Args:
            pair: two scenes on one grid.
            work: folder for what is made on the way; it may be removed once the pair is no longer read.
            resume: whether to continue what is in that folder.
            report: takes what the user should know, a line.
        """
        ...


@contextmanager
def looking_alike(
    pair: ScenePair,
    look: PairLook | None,
    beside: Path,
    resume: bool,
    overwrite: bool,
    report: Callable[[str], None],
) -> Iterator[ScenePair]:
    """The pair with the later scene in the look of the earlier one; what is made on the way is removed at the end.

    Args:
        pair: two scenes on one grid.
        look: that the later one gets; None leaves it as it is.
        beside: path of the work of the caller; what is made on the way lies beside it, and stays if the block fails.
        resume, overwrite: of the caller.
        report: takes what the user should know, a line.
    """
    if look is None:
        yield pair
        return
    work = beside.with_name(f"{beside.name}.look")
    if overwrite and not resume:
        shutil.rmtree(work, ignore_errors=True)
    yield look.applied(pair, work, resume, report)
    shutil.rmtree(work, ignore_errors=True)


def choose_look(translate: str | Path | None, match_colors: bool, device: str | None = None) -> PairLook | None:
    """What two options mean.

    Args:
        translate: folder or name of a translator.
        match_colors: whether to match mean and deviation.
        device: of the translator; the first GPU if left out.

    Raises:
        OSError, ValueError: both are given, or the translator cannot be loaded.
    """
    if translate is not None and match_colors:
        raise ValueError("give a translator (--translate) or match the colours (--match-colors), not both")
    if translate is not None:
        return PairTranslation(load_translator(translate, "before", device))
    return ColorMatching() if match_colors else None


@dataclass(frozen=True)
class ColorMatching:
    """Mean and standard deviation of each channel of the later scene become those of the earlier one.

    They are taken over all pixels that hold data at both dates, so that what has changed takes part: it should be a
    small share of the scene.
    """

    def applied(self, pair: ScenePair, work: Path, resume: bool, report: Callable[[str], None]) -> ScenePair:
        """See `PairLook`.

        Raises:
            ValueError: no pixel holds data at both dates.
        """
        before, after = channel_statistics(pair)
        gain = np.divide(before[1], after[1], out=np.ones_like(after[1]), where=after[1] > 0)
        return ScenePair(pair.before, RecoloredScene(pair.after, gain, before[0] - gain * after[0]))


def channel_statistics(pair: ScenePair) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Mean and deviation of each channel, float64 `(channels,)`, of the earlier and of the later scene."""
    channels = len(pair.before.bands)
    count, sums = 0, np.zeros((2, 2, channels), dtype=np.int64)  # date; values and squares
    for top in range(0, pair.before.height, ROWS):
        rows = pair.read_rows(top, min(top + ROWS, pair.before.height))
        count += int(rows.valid.sum())
        for date, pixels in enumerate((rows.before, rows.after)):
            values = pixels[rows.valid].astype(np.int64)
            sums[date] += np.stack([values.sum(axis=0), np.square(values).sum(axis=0)])
    if not count:
        raise ValueError(f"{pair.before.name} and {pair.after.name} hold no data at the same places")
    means = sums / count
    deviations = np.sqrt(np.maximum(means[:, 1] - np.square(means[:, 0]), 0))
    return (means[0, 0], deviations[0]), (means[1, 0], deviations[1])


class RecoloredScene:
    """A scene whose channels are each changed linearly, rounded and clipped to 0..255; see `SceneSource`."""

    def __init__(self, scene: SceneSource, gain: np.ndarray, offset: np.ndarray) -> None:
        self._scene, self._gain, self._offset = scene, gain[:, None, None], offset[:, None, None]
        self.name, self.width, self.height = scene.name, scene.width, scene.height
        self.bands, self.crs, self.transform, self.notes = scene.bands, scene.crs, scene.transform, scene.notes
        self.fingerprint = f"{scene.fingerprint} {gain.tolist()} {offset.tolist()}"

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows `top` to `bottom` (exclusive); see `SceneSource`."""
        pixels, valid = self._scene.read_rows(top, bottom)
        changed = np.rint(pixels * self._gain + self._offset).clip(0, 255).astype(np.uint8)
        return changed if valid is None else np.where(valid, changed, np.uint8(0)), valid


@dataclass(frozen=True)
class PairTranslation:
    """The later scene goes through a translator.

    Attributes:
        translator: to `before`.
        settings: windows and blending.
    """

    translator: TorchTranslator
    settings: WindowSettings = TRANSLATION_WINDOWS

    def applied(self, pair: ScenePair, work: Path, resume: bool, report: Callable[[str], None]) -> ScenePair:
        """See `PairLook`.

        Raises:
            FileExistsError, ValueError: as `translate_rows`, or the translator takes other bands or values.
        """
        translator = self.translator
        if translator.bands is not None or translator.value_scaling is not None:
            raise ValueError(
                f"{translator.name} has its own bands or range of values: translate the scene first (s5-hf translate)"
            )
        if len(translator.image_mean) != len(pair.after.bands):
            raise ValueError(
                f"{translator.name} takes {len(translator.image_mean)} channels, the scenes are read with "
                f"{len(pair.after.bands)}"
            )
        pixels = translate_rows(translator, pair.after, work, self.settings, resume, report=report)
        return ScenePair(pair.before, TranslatedScene(pair.after, pixels, translator))
