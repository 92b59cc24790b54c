"""Validation of a translator: how near translated images come to those of the other date, and a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from tqdm import tqdm

from ...imaging.display import display_picture
from ...imaging.sheets import contact_sheet
from ...modeling import SRUITModel
from ...modeling.image_processing_sruit import to_bytes
from ...modeling.modeling_sruit import DATES
from ...modeling.value_scaling import ValueScaling
from ...predictors.processor_kernels import processor_kernels
from ...semi_supervised.pseudo_labels import evaluating
from ..change.pair_reader import PairReader
from ..panels import write_panel

CAPTIONS = ("before", "like after", "after", "like before")


@dataclass(frozen=True)
class DateComparison:
    """Translated images against those of the other date.

    Attributes:
        like_after, like_before: the sum of the squared errors of images with the look of each date.
        untranslated: that of the dates as they are.
        count: values of one date.
        sheet: picture of the first pairs; on the main process, and only if there are to be some.
    """

    like_after: float
    like_before: float
    untranslated: float
    count: float
    sheet: Image.Image | None = None

    def scores(self) -> dict[str, float]:
        """Peak signal-to-noise ratios in dB over all pixels.

        `psnr/after` and `psnr/before` are of images with the look of each date, `psnr` of both together, and
        `psnr/untranslated` of the dates as they are.
        """
        return {
            "psnr": noise_ratio(self.like_after + self.like_before, 2 * self.count),
            "psnr/after": noise_ratio(self.like_after, self.count),
            "psnr/before": noise_ratio(self.like_before, self.count),
            "psnr/untranslated": noise_ratio(self.untranslated, self.count),
        }

    def as_dict(self) -> dict[str, float]:
        """The counts by name."""
        return {name: value for name, value in vars(self).items() if name != "sheet"}


def validate_translator(
    model: SRUITModel,
    samples: Sequence[Any],
    scaling: ValueScaling | None,
    accelerator: Accelerator,
    panel_path: Path | None = None,
    panel_images: int = 4,
) -> dict[str, float]:
    """The scores of `compare_dates`; a picture of the first pairs is written to `panel_path`."""
    found = compare_dates(model, samples, scaling, accelerator, panel_images if panel_path is not None else 0)
    if panel_path is not None and found.sheet is not None:
        write_panel(panel_path, found.sheet)
    return found.scores()


@torch.no_grad()
def compare_dates(
    model: SRUITModel,
    samples: Sequence[Any],
    scaling: ValueScaling | None,
    accelerator: Accelerator,
    shown_pairs: int = 4,
) -> DateComparison:
    """Translate both dates of pairs, each whole, and compare with the other date.

    What has truly changed counts as an error, too, alike for every translator, so that values of the same pairs can
    be compared, and no others. The pairs are shared among the processes, and each counts once.

    Args:
        model: the bare translator.
        samples: with `image_before` and `image_after`.
        scaling: of values that are not of 8 bits.
        accelerator: of the run.
        shown_pairs: in the picture.
    """
    sums = torch.zeros(4, dtype=torch.float64)
    tiles: list[Image.Image] = []
    own = range(accelerator.process_index, len(samples), accelerator.num_processes)
    with evaluating(model):
        for index in tqdm(own, "pairs", leave=False, disable=not accelerator.is_main_process):
            pixels = PairReader().pixels(samples[index], scaling)
            before, after = np.split(pixels, 2, axis=2)
            likes = []
            for date, image in zip(reversed(DATES), (before, after), strict=True):
                values = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(accelerator.device) / 127.5 - 1
                with accelerator.autocast(), processor_kernels(accelerator.device):
                    translated = to_bytes(model.translate(values, date))
                likes.append(translated[0].permute(1, 2, 0).cpu().numpy())
            errors = [squared_error(*pair) for pair in ((likes[0], after), (likes[1], before), (before, after))]
            sums += torch.tensor([*errors, before.size], dtype=torch.float64)
            if accelerator.is_main_process and len(tiles) < len(CAPTIONS) * shown_pairs:
                tiles += [display_picture(image) for image in (before, likes[0], after, likes[1])]
    captions = list(CAPTIONS) * (len(tiles) // len(CAPTIONS))
    sheet = contact_sheet(tiles, captions, columns=len(CAPTIONS)) if tiles else None
    return DateComparison(*accelerator.reduce(sums.to(accelerator.device), "sum").tolist(), sheet)


def squared_error(one: np.ndarray, other: np.ndarray) -> float:
    """The sum of the squared differences of two uint8 images."""
    return float(np.square(one.astype(np.float64) - other).sum())


def noise_ratio(squared: float, count: float) -> float:
    """The peak signal-to-noise ratio in dB of so many bytes; infinite where they agree, NaN for none."""
    if not count:
        return float("nan")
    return 10 * math.log10(255**2 * count / squared) if squared else float("inf")
