"""Training of SRUIT (arXiv 2502.11468) on pairs of two dates without labels, as we read it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...dataset_builders.registry import get_entry
from ...modeling import SRUITImageProcessor, SRUITModel
from ...semi_supervised import MethodOutput
from ..change.data import images_of_dates
from ..change.pair_reader import PairReader
from ..kind import StateDict, Training, TrainingKind
from ..pretraining.data import load_split
from ..selection import SelectingTraining, require_honest
from ..unlabelled_images import UnlabelledTraining
from .network import TranslationNetwork
from .recipe import TranslationRecipe
from .validation import validate_translator

Batch = dict[str, torch.Tensor]


class ImageTranslation(SelectingTraining[TranslationRecipe], UnlabelledTraining[TranslationRecipe]):
    """Training of a network that gives images of one date the look of the other.

    The result, `translator/`, loads with `AutoModel` and `AutoImageProcessor`; the discriminators are not part of it.

    Args:
        recipe: of the run.
        samples: with `image_before` and `image_after` of one size, in place of what the recipe names.
        validation: such pairs to validate on.
    """

    project = "translation"
    model_folder = "translator"
    encoder_prefix = "translator."
    result_folder = "translator"
    headline = "translation"
    score, score_unit = "psnr", "dB"
    reader = PairReader()

    def __init__(self, recipe: TranslationRecipe, samples: Any | None = None, validation: Any | None = None) -> None:
        super().__init__(recipe, samples)
        self.validation = validation

    @property
    def needs_whole_weights(self) -> str:
        """The discriminators."""
        return "generators learn from discriminators with detached weights"

    def load(self, processes: int) -> Mapping[str, Any]:
        """As every kind, but whatever is measured, 0..255 becomes -1..1: that is what the network gives back."""
        datasets, data = super().load(processes), self.recipe.data
        data.image_mean, data.image_std = ([0.5] * len(data.image_mean) for _ in range(2))
        return datasets

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the pairs, and those of the validation if there is one.

        Raises:
            FileExistsError: if a new run would replace a result.
            ValueError: if there is nothing honest to choose weights on.
        """
        data, entry = self.recipe.data, get_entry(self.recipe.data.dataset)
        datasets = super().load_data(processes)
        if self.validation is None and data.validation_split != "none":
            if self.selects:
                require_honest(entry, data.validation_split)
            pairs = load_split(data.dataset, data.data_dir, data.validation_split, False, self.builder_options())
            self.validation = pairs.select(range(min(len(pairs), data.validation_count or len(pairs))))
        self.require_selection(self.validation)
        self.validates = self.validation is not None
        return datasets if self.validation is None else {**datasets, "validation": self.validation}

    def learned_from(self) -> Sequence[Any]:
        """The images of both dates."""
        return images_of_dates(self.samples)

    def make_model(self) -> TranslationNetwork:
        """The translator with its discriminators."""
        return TranslationNetwork.of_recipe(self.recipe.model, len(self.recipe.data.image_mean))

    def image_shape(self) -> torch.Size:
        """Shape `(batch, 2, channels, height, width)` of a batch that the network takes."""
        batch, *image = TrainingKind.image_shape(self)
        return torch.Size((batch, len(PairReader.columns), *image))

    def batches(self, training: Training, taken: int) -> Iterator[Batch]:
        """Crops of both dates at the same places; the paper asks for pairs, though no loss compares their dates."""
        return self.rows(training, taken)

    def step(self, model: torch.nn.Module, batch: Batch, step: int) -> MethodOutput:
        """The weighted sum of the losses of generators and discriminators, see `TranslationNetwork.forward`."""
        losses, settings = model(batch["image"]), self.recipe.model
        loss = losses["discriminator"]
        for name in ("adversarial", "cycle", "self"):
            loss = loss + getattr(settings, f"{name}_weight") * losses[name]
        return MethodOutput(loss, {name: value.detach() for name, value in losses.items()})

    @property
    def processor(self) -> SRUITImageProcessor:
        """Goes with the translator."""
        return SRUITImageProcessor(**self.input_settings())

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """See `validate_translator`; keeps the weights where they are the best so far and the recipe says so."""
        run = self.recipe.run
        scores = validate_translator(
            training.accelerator.unwrap_model(training.model).translator,
            self.validation,
            self.recipe.data.value_scaling,
            training.accelerator,
            Path(run.output_dir) / "panels" / f"step_{step:08d}.png" if run.panel_images else None,
            run.panel_images,
        )
        self.keep_best(training, step, scores)
        return scores

    def kept(self, model: TranslationNetwork, state_dict: StateDict) -> tuple[SRUITModel, StateDict]:
        """The translator without the discriminators."""
        prefix = self.encoder_prefix
        own = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
        return model.translator, own

    def save_networks(self, model: TranslationNetwork, folder: Path, state_dict: StateDict) -> None:
        """Save the translator and its processor to `folder/translator`."""
        translator, own = self.kept(model, state_dict)
        translator.save_pretrained(folder / self.model_folder, state_dict=own)
        self.processor.save_pretrained(folder / self.model_folder)
