"""AlignEarth (arXiv 2508.18067) as we read it: no code and no equations are published, so claim no numbers of it.

The figure of the paper names three losses between a frozen CLIP on optical images and a student on radar images that
starts as a copy: contrast of whole images, distillation of whole images, distillation of patches. Here these are
InfoNCE in both directions at CLIP's own temperature, the cosine distance, and the cosine or squared distance.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPModel

from ...files.atomic import write_text
from ...modeling.clip_dense_features import early_states, in_common_space, patch_grid
from ...semi_supervised import MethodOutput
from ..batches import IndexedBatches
from ..kind import StateDict, Training, TrainingKind
from ..starting_weights import load_network
from ..throughput import Throughput
from ..views.strong import normalize, to_unit_range
from ..views.weak import SampleView, WeakView
from .pairs import find_pairs
from .recipe import AlignEarthRecipe, AlignEarthSettings


class ImageTower(nn.Module):
    """A CLIP whose images are seen and whose text tower stays as it is.

    Args:
        clip: is used, not copied.
    """

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.startswith(("vision_model.", "visual_projection.")))

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Whole images `(batch, embedding)` and patches `(batch, embedding, rows, columns)` in the common space."""
        blocks = len(self.clip.vision_model.encoder.layers)
        states = early_states(self.clip, images, blocks)
        return in_common_space(self.clip, states, patch_grid(self.clip, images))


class AlignEarth(TrainingKind[AlignEarthRecipe]):
    """Training of the image tower of a CLIP for radar images.

    The result, `clip/`, is a `CLIPModel` of transformers, which `SegEarthOVForSemanticSegmentation.from_clip` takes.

    Args:
        recipe: of the run.
        pairs: as `ImagePairs`, in place of what the recipe names.
    """

    # Every kind says these of itself; what kinds without labels share is in unlabelled_images.py. This one begins as
    # they do, but its pairs are no such images: nothing of them is measured, streamed or read by a dataset builder.
    project = "alignearth"
    model_folder = "clip"
    encoder_prefix = "clip.vision_model."
    headline = "alignearth"
    teacher: ImageTower

    def __init__(self, recipe: AlignEarthRecipe, pairs: Any | None = None) -> None:
        super().__init__(recipe)
        self.pairs = pairs
        self.total_steps = recipe.optimizer.total_steps

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Find the pairs.

        Raises:
            FileExistsError: if a new run would replace a network.
            FileNotFoundError, ValueError: as `find_pairs`.
        """
        run, result = self.recipe.run, Path(self.recipe.run.output_dir) / self.model_folder
        if run.resume is None and result.exists():
            raise FileExistsError(f"{result} exists already; remove it or choose another output_dir")
        if self.pairs is None:
            if self.recipe.data.data_dir is None:
                raise ValueError("data_dir is missing: name the folder with optical/ and radar/")
            self.pairs = find_pairs(self.recipe.data.data_dir)
        return {"pairs": self.pairs}

    def make_model(self) -> ImageTower:
        """The student, a copy of the teacher.

        Raises:
            ValueError: if the crops are not in whole patches.
        """
        tower = ImageTower(load_network(CLIPModel, self.recipe.model.clip))
        patch_size, crop_size = tower.clip.config.vision_config.patch_size, self.recipe.data.crop_size
        if crop_size % patch_size:
            raise ValueError(f"crop_size is {crop_size}, expected a multiple of the patches of {patch_size} px")
        return tower

    def attach(self, model: ImageTower) -> list[Any]:
        """Keep what the student starts from as the teacher; also before a checkpoint is loaded."""
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        return []

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Pairs per second."""
        settings = self.recipe.optimizer
        return Throughput(settings.batch_size * settings.gradient_accumulation * processes)

    def batches(self, training: Training, taken: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Normalised optical and radar crops of the same places from batch `taken` on, for ever."""
        data, run, accelerator = self.recipe.data, self.recipe.run, training.accelerator
        channels = len(data.image_mean)
        view = SampleView(
            WeakView(data.crop_size, tuple(data.scale_range)), run.seed, self.project, channels=2 * channels
        )
        place = (accelerator.process_index, accelerator.num_processes)
        source = IndexedBatches(self.pairs, view, self.recipe.optimizer.batch_size, run.seed, *place, data.num_workers)
        for rows in source.start(taken):
            both = to_unit_range(rows["image"].to(accelerator.device, non_blocking=True))
            yield tuple(normalize(images, data.image_mean, data.image_std) for images in both.split(channels, dim=1))

    def step(self, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> MethodOutput:
        """The weighted sum of the three losses."""
        optical, radar = batch
        with torch.no_grad():
            expected = self.teacher(optical)
        scale = self.teacher.clip.logit_scale.exp()
        losses = alignment_losses(model(radar), expected, scale, self.recipe.model.patch_distance)
        loss = weighted(losses, self.recipe.model)
        return MethodOutput(loss, {name: value.detach() for name, value in losses.items()})

    def save_networks(self, model: ImageTower, folder: Path, state_dict: StateDict) -> None:
        """Save the CLIP to `folder/clip`, with the settings of its image processor."""
        own = {name.removeprefix("clip."): tensor for name, tensor in state_dict.items()}
        model.clip.save_pretrained(folder / self.model_folder, state_dict=own)
        data, side = self.recipe.data, model.clip.config.vision_config.image_size
        settings = {
            "image_processor_type": "CLIPImageProcessor",
            "size": {"shortest_edge": side},
            "crop_size": {"height": side, "width": side},
            "image_mean": list(data.image_mean),
            "image_std": list(data.image_std),
        }
        write_text(folder / self.model_folder / "preprocessor_config.json", json.dumps(settings, indent=2) + "\n")


def alignment_losses(
    student: tuple[torch.Tensor, torch.Tensor],
    teacher: tuple[torch.Tensor, torch.Tensor],
    scale: torch.Tensor,
    patch_distance: str,
) -> dict[str, torch.Tensor]:
    """The three losses.

    Args:
        student, teacher: whole images `(batch, embedding)` and patches `(batch, embedding, rows, columns)`.
        scale: factor of the cosines in the contrast, as CLIP has learned it.
        patch_distance: `cosine` or `squared`.
    """
    (image, patches), (expected, expected_patches) = student, teacher
    cosines = functional.normalize(image, dim=-1) @ functional.normalize(expected, dim=-1).T
    partners = torch.arange(len(cosines), device=cosines.device)
    towards, back = (functional.cross_entropy(scale * logits, partners) for logits in (cosines, cosines.T))
    of_patches = (
        1 - functional.cosine_similarity(patches, expected_patches, dim=1).mean()
        if patch_distance == "cosine"
        else functional.mse_loss(patches, expected_patches)
    )
    return {"contrast": (towards + back) / 2, "image": 1 - cosines.diagonal().mean(), "patch": of_patches}


def weighted(losses: Mapping[str, torch.Tensor], settings: AlignEarthSettings) -> torch.Tensor:
    """The sum of the losses with their weights."""
    return sum(getattr(settings, f"{name}_weight") * value for name, value in losses.items())
