"""Masked autoencoding (MAE, arXiv 2111.06377) of images without labels, with transformers' `ViTMAEForPreTraining`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from ...conversion import convert_checkpoint
from ...semi_supervised import MethodOutput
from ..errors import CheckpointError
from ..kind import StateDict, Training
from ..peaks import peak_flops
from ..throughput import Throughput, count_flops
from ..unlabelled_images import UnlabelledTraining
from .recipe import MAERecipe


class MaskedAutoencoding(UnlabelledTraining[MAERecipe]):
    """Training of an encoder to fill in the patches that are hidden from it.

    Args:
        recipe: of the run.
        samples: with `image`, in place of what the recipe names.
    """

    # Every kind says these of itself; what kinds without labels share is in unlabelled_images.py.
    project = "mae"
    model_folder = "mae"
    encoder_prefix = "vit."
    result_folder = "encoder"
    headline = "mae"

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the images.

        Raises:
            FileExistsError: if a new run would replace an encoder.
            CheckpointError: if the folder holds a checkpoint of release 0.1.0, which had another layout.
        """
        former = Path(self.recipe.run.output_dir) / "checkpoint"
        if former.is_dir():
            raise CheckpointError(f"{former} is a checkpoint of release 0.1.0, which cannot be resumed: remove it")
        return super().load_data(processes)

    def make_model(self) -> ViTMAEForPreTraining:
        """The network; its encoder has the shape that an S5 ViT can take."""
        settings, data = self.recipe.model, self.recipe.data
        config = ViTMAEConfig(
            hidden_size=settings.hidden_size,
            num_hidden_layers=settings.num_hidden_layers,
            num_attention_heads=settings.num_attention_heads,
            intermediate_size=4 * settings.hidden_size,
            decoder_hidden_size=settings.decoder_hidden_size,
            decoder_num_hidden_layers=settings.decoder_num_hidden_layers,
            decoder_num_attention_heads=settings.decoder_num_attention_heads,
            decoder_intermediate_size=4 * settings.decoder_hidden_size,
            image_size=data.crop_size,
            num_channels=len(data.image_mean),
            patch_size=settings.patch_size,
            mask_ratio=settings.mask_ratio,
            norm_pix_loss=settings.normalized_targets,
            layer_norm_eps=1e-6,
        )
        return ViTMAEForPreTraining(config)

    def learning_rate(self, processes: int) -> float:
        """The highest learning rate: that of the recipe, or by the images of a step."""
        return self.recipe.optimizer.rate(processes)

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Throughput with FLOPs where the device's peak is known."""
        settings, data = self.recipe.optimizer, self.recipe.data
        per_process, device = settings.batch_size * settings.gradient_accumulation, next(model.parameters()).device
        peak = peak_flops(device)
        if peak is None:
            return Throughput(per_process * processes)
        image = torch.zeros(1, len(data.image_mean), data.crop_size, data.crop_size, device=device)
        flops = count_flops(model, lambda: model(image).loss)
        return Throughput(per_process * processes, flops.of_step(per_process), peak)

    def batches(self, training: Training, taken: int) -> Iterator[torch.Tensor]:
        """Normalised crops `(batch, channels, height, width)` on the device from batch `taken` on, for ever."""
        return (row["image"] for row in self.rows(training, taken))

    def step(self, model: torch.nn.Module, batch: torch.Tensor, step: int) -> MethodOutput:
        """The mean squared error of the hidden patches, each normalised unless the recipe says otherwise."""
        return MethodOutput(model(batch).loss, {})

    def save_networks(self, model: ViTMAEForPreTraining, folder: Path, state_dict: StateDict) -> None:
        """Save MAE's network to `folder/mae`, and its encoder as an S5 ViT to `folder/encoder`."""
        model.save_pretrained(folder / self.model_folder, state_dict=state_dict)
        # A new network draws new weights before it is filled: the run's own random numbers must not notice.
        with torch.random.fork_rng(devices=[]):
            convert_checkpoint(
                folder / self.model_folder,
                folder / "encoder",
                num_attention_heads=self.recipe.model.num_attention_heads,
                image_size=self.recipe.data.crop_size,
            )
        self.processor.save_pretrained(folder / "encoder")
