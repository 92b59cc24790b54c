"""Which weights of a run with one network are kept besides the last ones: those with the best validation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from ..dataset_builders.registry import DatasetEntry
from .joint.best_models import MEAN, PERCENT, BestModels
from .joint.splits import reported_splits
from .kind import StateDict, Training, TrainingKind
from .recipe_reading import AnyRecipe

__all__ = ["SelectingTraining", "keep_best", "require_honest"]

VALIDATION = "validation"
IN_WORDS = "the best weights are chosen on the validation images"


class SelectingTraining(TrainingKind[AnyRecipe]):
    """A training that keeps the weights with the best validation in `best/mean`, where its recipe says so.

    Attributes:
        score: name of the value of a validation that makes weights the best; higher is better.
        score_unit: of it, for people.
    """

    score: ClassVar[str]
    score_unit: ClassVar[str] = PERCENT

    @property
    def selects(self) -> bool:
        """Whether weights are to be chosen by their validation."""
        return self.recipe.run.selection == VALIDATION

    def require_selection(self, validation: Any | None) -> None:
        """Raise a ValueError where weights are to be chosen and there is nothing to choose them on."""
        if self.selects and validation is None:
            raise ValueError("selection: validation needs a validation_split")

    def kept(self, model: torch.nn.Module, state_dict: StateDict) -> tuple[PreTrainedModel, StateDict]:
        """The network that is the result, of the bare one that is trained, with its weights as they are saved."""
        return model, self.saved_state(model, state_dict)

    def keep_best(self, training: Training, step: int, scores: Mapping[str, float]) -> None:
        """Save the weights after `step` steps if the recipe asks for it and none were better before."""
        if not self.selects:
            return
        accelerator = training.accelerator
        state_dict = accelerator.get_state_dict(training.model)
        network, own = self.kept(accelerator.unwrap_model(training.model), state_dict)
        source = f"split {self.recipe.data.validation_split}"
        keep_best(self, accelerator, step, scores[self.score], network, own, source, self.score_unit)


def keep_best(
    kind: TrainingKind[Any],
    accelerator: Accelerator,
    step: int,
    score: float,
    model: PreTrainedModel,
    state_dict: StateDict,
    source: str,
    unit: str = PERCENT,
) -> None:
    """Save weights under best/mean if none were better before; every process calls it.

    Args:
        kind: of the run.
        accelerator: of the run.
        step: optimizer steps that were made.
        score: of the weights.
        model: the bare network.
        state_dict: its weights as they are saved.
        source: of the validation images, in words.
        unit: of the score.
    """
    if accelerator.is_main_process:
        selection = {"selection": VALIDATION, "in_words": IN_WORDS, "validation": source}
        best = BestModels(Path(kind.recipe.run.output_dir) / "best", kind.processor, selection, unit)
        best.keep(step, {MEAN: score}, model, state_dict)
    accelerator.wait_for_everyone()


def require_honest(entry: DatasetEntry, split: str) -> None:
    """Raise a ValueError if weights would be chosen on images whose results one reports."""
    if split in reported_splits(entry):
        raise ValueError(
            f"results on the split {split!r} of {entry.name} are what one reports, so it must not choose the weights. "
            "Use another validation_split (held_out where there is one), or selection: last (nothing is chosen)"
        )
