"""The frozen networks whose features are up-sampled: CLIP as the official code reads it, and other transformers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import CLIPModel

from ...modeling import SegEarthOVForSemanticSegmentation
from ...modeling.clip_dense_features import last_block_input
from ...semi_supervised.frozen_teacher import FrozenTeacher, load_frozen_teacher
from ..starting_weights import load_network, read_config
from .network import Featurize


@dataclass(frozen=True)
class Featurizer:
    """A frozen network.

    Attributes:
        featurize: the network; on another device than its images it moves there.
        channels: of its features.
        patch_size: in pixels.
    """

    featurize: Featurize
    channels: int
    patch_size: int


def load_featurizer(name: str, mean: Sequence[float], std: Sequence[float]) -> Featurizer:
    """Load a featurizer.

    Args:
        name: folder or name of a CLIP, a SegEarth-OV model or any vision transformer.
        mean, std: with which the images are normalised. A CLIP sees them so, as in the official code; for other
            networks they are normalised anew.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it is no vision transformer, or nothing says how its images are normalised.
    """
    try:
        model_type = read_config(name).model_type
    except OSError as error:
        raise FileNotFoundError(f"the featurizer {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    if model_type == "clip":
        return of_clip(load_network(CLIPModel, name))
    if model_type == SegEarthOVForSemanticSegmentation.config_class.model_type:
        return of_clip(load_network(SegEarthOVForSemanticSegmentation, name).clip)
    return of_transformer(load_frozen_teacher(name), mean, std)


def of_clip(clip: CLIPModel) -> Featurizer:
    """What goes into the last block of a CLIP, brought into the space of images and text."""
    clip = clip.eval().requires_grad_(False)

    @torch.no_grad()
    def featurize(images: torch.Tensor) -> torch.Tensor:
        return last_block_input(clip.to(images.device), images)

    return Featurizer(featurize, clip.config.projection_dim, clip.config.vision_config.patch_size)


def of_transformer(teacher: FrozenTeacher, mean: Sequence[float], std: Sequence[float]) -> Featurizer:
    """The last hidden states of the patches."""

    def featurize(images: torch.Tensor) -> torch.Tensor:
        teacher.network.to(images.device)
        rows = images.shape[2] // teacher.patch_size
        return teacher.tokens(images, mean, std).transpose(1, 2).unflatten(2, (rows, -1))

    return Featurizer(featurize, teacher.hidden_size, teacher.patch_size)
