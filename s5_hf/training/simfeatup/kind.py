"""Training of SimFeatUp (arXiv 2410.01768) on images without labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from ...semi_supervised import MethodOutput
from ..batches import Row
from ..kind import StateDict, Training
from ..optimizer import parameter_groups
from ..unlabelled_images import UnlabelledTraining
from .colour_start import start_from_colours
from .featurizer import Featurizer, load_featurizer
from .network import SimFeatUpNetwork
from .recipe import SimFeatUpRecipe

RESULT = "simfeatup.safetensors"


class SimFeatUpTraining(UnlabelledTraining[SimFeatUpRecipe]):
    """Training of an up-sampler for the features of a frozen network.

    The result, `upsampler/simfeatup.safetensors`, has the names of the published file, so that `s5-hf convert` takes
    both.

    Args:
        recipe: of the run.
        samples: with `image`, in place of what the recipe names.
    """

    # Every kind says these of itself; what kinds without labels share is in unlabelled_images.py.
    project = "simfeatup"
    model_folder = "upsampler"
    encoder_prefix = "upsampler."
    result_folder = "upsampler"
    headline = "simfeatup"
    featurizer: Featurizer

    @property
    def teachers(self) -> Sequence[str]:
        """The frozen network."""
        return (self.recipe.model.featurizer,)

    def make_model(self) -> SimFeatUpNetwork:
        """The up-sampler with the parts of its losses; the frozen network is loaded too, and is none of it.

        Raises:
            FileNotFoundError: if there is no such featurizer.
            ValueError: if the crops are not in whole patches, or too small.
        """
        model, data = self.recipe.model, self.recipe.data
        self.featurizer = load_featurizer(model.featurizer, data.image_mean, data.image_std)
        patch_size = self.featurizer.patch_size
        smallest = {"jbu_one": 3, "jbu_stack": 2}[model.upsampler] * patch_size
        if data.crop_size % patch_size or data.crop_size < smallest:
            raise ValueError(
                f"crop_size is {data.crop_size}, expected a multiple of the featurizer's patches of {patch_size} px, "
                f"{smallest} or more"
            )
        network = SimFeatUpNetwork(self.featurizer.channels, self.featurizer.patch_size, model)
        if model.start == "colours":
            start_from_colours(network.upsampler, data.image_mean, data.image_std)
        return network

    def make_optimizer(self, model: torch.nn.Module, processes: int) -> torch.optim.NAdam:
        """NAdam."""
        settings = self.recipe.optimizer
        groups = parameter_groups(model, settings.learning_rate, settings.weight_decay)
        return torch.optim.NAdam(groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2))

    def batches(self, training: Training, taken: int) -> Iterator[Row]:
        """Normalised crops with the seeds of their random numbers."""
        return self.rows(training, taken)

    def gradient_clip(self, step: int) -> float | None:
        """Very small in the first steps, when the losses are far from what they become."""
        settings = self.recipe.optimizer
        return settings.first_gradient_clip if step < settings.first_steps else settings.gradient_clip

    def step(self, model: torch.nn.Module, batch: Row, step: int) -> MethodOutput:
        """The sum of the losses of features and colours."""
        losses = model(batch["image"], batch["seed"], self.featurizer.featurize)
        loss = losses["reconstruction"] + self.recipe.model.content_weight * losses["content"]
        return MethodOutput(loss, {name: value.detach() for name, value in losses.items()})

    def save_networks(self, model: SimFeatUpNetwork, folder: Path, state_dict: StateDict) -> None:
        """Save the up-sampler to `folder/upsampler`."""
        (folder / self.model_folder).mkdir()
        prefix = self.encoder_prefix
        kept = {name: tensor.contiguous() for name, tensor in state_dict.items() if name.startswith(prefix)}
        save_file(kept, folder / self.model_folder / RESULT)
