"""The frozen networks whose features are up-sampled: CLIP as the official code reads it, and others."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import AutoBackbone, CLIPModel, PretrainedConfig
from transformers.image_processing_base import ImageProcessingMixin

from ...modeling import SegEarthOVForSemanticSegmentation
from ...modeling.clip_dense_features import last_block_input
from ...semi_supervised.frozen_teacher import FrozenTeacher, load_frozen_teacher, normalisation, renormalised
from ..starting_weights import load_network, read_config
from .network import Featurize

STRIDE = 16
"""Of the map of a backbone in stages: as much as the up-sampler enlarges."""
PROBE_SIDE = 14 * STRIDE


@dataclass(frozen=True)
class Featurizer:
    """A frozen network.

    Attributes:
        featurize: the network; on another device than its images it moves there.
        channels: of its features.
        patch_size: in pixels; of a convolutional network its stride.
    """

    featurize: Featurize
    channels: int
    patch_size: int


def load_featurizer(name: str, mean: Sequence[float], std: Sequence[float]) -> Featurizer:
    """Load a featurizer.

    Args:
        name: folder or name of a CLIP, a SegEarth-OV model, any vision transformer, or a backbone in stages, such as
            ResNet or EfficientNet-Lite.
        mean, std: with which the images are normalised. A CLIP sees them so, as in the official code; for other
            networks they are normalised anew.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: it is neither, has no map at stride 16, or nothing says how its images are normalised.
    """
    try:
        config = read_config(name)
    except OSError as error:
        raise FileNotFoundError(f"the featurizer {name} cannot be loaded: {str(error).splitlines()[0]}") from error
    if config.model_type == "clip":
        return of_clip(load_network(CLIPModel, name))
    if config.model_type == SegEarthOVForSemanticSegmentation.config_class.model_type:
        return of_clip(load_network(SegEarthOVForSemanticSegmentation, name).clip)
    if is_in_stages(config):
        return of_backbone(name, config, mean, std)
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


def is_in_stages(config: PretrainedConfig) -> bool:
    """Whether it is a backbone whose maps have several strides, and no plain vision transformer."""
    is_plain = all(isinstance(getattr(config, key, None), int) for key in ("patch_size", "hidden_size"))
    return not is_plain and hasattr(config, "stage_names")


def of_backbone(name: str, config: PretrainedConfig, mean: Sequence[float], std: Sequence[float]) -> Featurizer:
    """The map at stride 16 of a backbone in stages.

    Features have mean 0 and deviation 1 over the channels of a place, as after the last norm of a transformer: with
    those of EfficientNet-Lite as they are, the losses start at millions, because the logarithm of the uncertainty is
    linear in the features.
    """
    stages = list(range(1, len(config.stage_names)))
    network = load_network(AutoBackbone, name, out_indices=stages).eval().requires_grad_(False)
    wanted = tuple(normalisation(name, ImageProcessingMixin.get_image_processor_dict(name)[0]).values())
    probe = torch.zeros(1, 3, PROBE_SIDE, PROBE_SIDE, device=network.device)
    sides = [feature_map.shape[2] for feature_map in network(probe).feature_maps]
    if PROBE_SIDE // STRIDE not in sides:
        strides = ", ".join(str(PROBE_SIDE // side) for side in sides)
        raise ValueError(f"the featurizer {name} has maps at strides {strides}, expected one at stride {STRIDE}")
    # The last one, where several stages have this stride.
    stage = len(sides) - 1 - sides[::-1].index(PROBE_SIDE // STRIDE)

    def maps(images: torch.Tensor) -> torch.Tensor:
        features = network.to(images.device)(images).feature_maps[stage].permute(0, 2, 3, 1)
        return functional.layer_norm(features, features.shape[-1:]).permute(0, 3, 1, 2)

    @torch.no_grad()
    def featurize(images: torch.Tensor) -> torch.Tensor:
        return maps(renormalised(images, (mean, std), wanted))

    return Featurizer(featurize, maps(probe).shape[1], STRIDE)
