"""What the kinds of training on the samples of one dataset, with a split to validate on, have in common."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch

from ..dataset_builders.registry import get_entry
from .kind import Training
from .pretraining.data import load_split
from .recipe_reading import AnyRecipe
from .selection import SelectingTraining, require_honest
from .throughput import Throughput

__all__ = ["SampledTraining"]


class SampledTraining(SelectingTraining[AnyRecipe]):
    """A training on one split of a dataset, validated on another or not at all.

    Args:
        recipe: of the run; its data section has `dataset`, `data_dir`, `split`, `validation_split` and
            `validation_count`.
        samples: `(train, validation or None)`, in place of what the recipe names.
    """

    def __init__(self, recipe: AnyRecipe, samples: tuple[Any, Any | None] | None = None) -> None:
        super().__init__(recipe)
        self.samples, self.validation = samples if samples is not None else (None, None)

    @abstractmethod
    def scores(self, training: Training, step: int) -> dict[str, float]:
        """The values of a validation of the weights after `step` steps."""

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """Score the weights, and keep them where they are the best so far and the recipe says so."""
        scores = self.scores(training, step)
        self.keep_best(training, step, scores)
        return scores

    def load_samples(self) -> None:
        """Load both splits, unless they were given.

        Raises:
            FileExistsError: if a new run would replace a network.
            ValueError: if there are no samples, or nothing honest to choose weights on.
        """
        data, run = self.recipe.data, self.recipe.run
        result = Path(run.output_dir) / self.model_folder
        if run.resume is None and result.exists():
            raise FileExistsError(f"{result} exists already; remove it or choose another output_dir")
        if self.samples is None:
            entry = get_entry(data.dataset)
            if self.selects:
                require_honest(entry, data.validation_split)
            self.samples = load_split(data.dataset, data.data_dir, data.split, False, {})
            if data.validation_split != "none":
                self.validation = load_split(data.dataset, data.data_dir, data.validation_split, False, {})
                if data.validation_count is not None:
                    count = min(data.validation_count, len(self.validation))
                    self.validation = self.validation.select(range(count))
        if not len(self.samples):
            raise ValueError(f"{data.dataset}: the split {data.split} holds no samples")
        self.require_selection(self.validation)
        self.validates = self.validation is not None

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Samples per second."""
        settings = self.recipe.optimizer
        return Throughput(settings.batch_size * settings.gradient_accumulation * processes)
