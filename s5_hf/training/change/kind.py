"""Change detection: labelled and unlabelled pairs, and a semi-supervised method, or labelled pairs alone."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from ...metrics.change_scores import change_f1, change_iou, semantic_change_scores
from ...metrics.from_to_counts import date_counts
from ...modeling.image_processing_s5_change import S5ChangeImageProcessor
from ...modeling.modeling_s5_change import S5ForChangeDetection
from ..kind import TrainingKind
from ..pretraining.data import SegmentationData
from ..pretraining.kind import S4Pretraining
from ..pretraining.pseudo_label_health import PseudoLabelHealth
from ..pretraining.starting_model import starting_model
from ..views.strong_draws import StrongAugmentation
from .data import images_of_dates, load_change_data
from .pair_reader import PairReader
from .recipe import ChangeRecipe


class ChangeDetection(S4Pretraining):
    """Training of a change detector: S4 pre-training on pairs.

    Both dates of a pair have one geometry and one CutMix box; colours are drawn for each date by itself.

    Args:
        recipe: of the run.
        data: in place of what the recipe names; samples have `image_before`, `image_after`, and `mask` or
            `mask_before` and `mask_after`.
    """

    project = "change"
    model_folder = "change_detector"
    recipe: ChangeRecipe

    @property
    def score(self) -> str:
        """The IoU of changed pixels, or the score of SECOND."""
        return "change_score" if self.data.date_classes else "change_iou"

    @property
    def score_in_words(self) -> str:
        """The same for people."""
        return "0.3 mIoU + 0.7 SeK" if self.data.date_classes else "change IoU"

    def read_data(self) -> SegmentationData:
        """The datasets that the recipe names."""
        recipe = self.recipe
        return load_change_data(
            recipe.data, recipe.run.seed, self.method.strong_views > 0, recipe.run.selection == "validation"
        )

    @property
    def reader(self) -> PairReader:
        """What reads the columns of a sample."""
        return PairReader(len(self.data.date_classes))

    @cached_property
    def health(self) -> PseudoLabelHealth:
        """Warns of sick pseudo-labels; that nearly all of them are unchanged is normal, that all are is not."""
        steps = self.total_steps - self.supervised_steps
        return PseudoLabelHealth(self.data.labels, steps, highest_share=0.995, dominant_share=0.995)

    @property
    def augmentation(self) -> StrongAugmentation:
        """Of the strong views."""
        method = self.recipe.method
        return StrongAugmentation(
            cutmix_probability=method.cutmix_probability, grayscale_probability=method.grayscale_probability
        )

    def new_model(self) -> S5ForChangeDetection:
        """The network that the recipe starts from."""
        data, own = self.recipe.data, self.data
        heads = {"date_classes": {own.task: own.date_classes}} if own.date_classes else {}
        channels = len(data.image_mean)
        return starting_model(
            self.recipe.model, own.task, own.labels, data.crop_size, channels, S5ForChangeDetection, **heads
        )

    def learned_from(self) -> Sequence[Any]:
        """The images of both dates, labelled and unlabelled."""
        return [*images_of_dates(self.data.labelled), *images_of_dates(self.data.unlabelled)]

    def image_shape(self) -> torch.Size:
        """Shape `(batch, 2, channels, height, width)` of a batch that the network takes."""
        batch, *image = TrainingKind.image_shape(self)
        return torch.Size((batch, len(PairReader.columns), *image))

    def more_scores(self, counts: torch.Tensor) -> dict[str, float]:
        """IoU and F1 of changed pixels, in percent, and the scores of SECOND where there are classes of both dates."""
        return scores_of_changes(counts, len(self.data.date_classes))

    @property
    def processor(self) -> S5ChangeImageProcessor:
        """The image processor that goes with the networks of the run."""
        return S5ChangeImageProcessor(**self.input_settings())


def scores_of_changes(counts: torch.Tensor, date_classes: int) -> dict[str, float]:
    """IoU and F1 of changed pixels, and the scores of SECOND where there are classes of both dates, in percent.

    Args:
        counts: `(classes, classes)`, references in rows.
        date_classes: of each date, 0 for none.
    """
    scores = {"change_iou": change_iou(counts), "change_f1": change_f1(counts)}
    if date_classes:
        of_second = semantic_change_scores(date_counts(counts, date_classes))
        scores |= {f"change_{name}": value for name, value in of_second.items()}
    return {name: 100 * value for name, value in scores.items()}
