"""The table of the known names: configuration, official file and Hub repository of each."""

import difflib
import os
from dataclasses import dataclass

import torch
from transformers import CLIPConfig, CLIPModel, PretrainedConfig, PreTrainedModel

from ..conversion.official_tasks import (
    DETECTION_TASKS,
    MOE_MDF_TASKS,
    PRETRAINING_TASK,
    detection_task_settings,
    task_settings,
)
from ..modeling import (
    MambaHSIForSemanticSegmentation,
    MVCCForChangeCaptioning,
    S5DetectionConfig,
    S5SegmentationConfig,
    S5ViTConfig,
    SegEarthOVConfig,
    SegEarthOVForSemanticSegmentation,
    SegEarthR1ForPixelReasoning,
    SRUITModel,
)
from ..modeling.configuration_s5_vit import VIT_SIZES
from ..modeling.task_model import MODEL_CLASSES
from .name_form import NAME_PREFIX

OFFICIAL_REPOSITORY = "lianglyu/S5"

NETWORKS: dict[str, type[PreTrainedModel]] = MODEL_CLASSES | {
    network.config_class.model_type: network
    for network in (
        MambaHSIForSemanticSegmentation,
        MVCCForChangeCaptioning,
        SegEarthOVForSemanticSegmentation,
        SegEarthR1ForPixelReasoning,
        SRUITModel,
    )
}
"""The class of every model type of this package."""

PLAIN_NETWORKS: dict[str, type[PreTrainedModel]] = {CLIPConfig.model_type: CLIPModel}
"""Networks of transformers itself that a training of this package makes, such as `s5-hf train alignearth`."""

# What the official release holds, by size. The authors have named the repository, not the files inside: these are the
# names in their code. Where the repository has none of this name, its list of files is searched by size.
OFFICIAL_FILES = {
    "": {"b": "vit_b_s4p.pth", "l": "vit_l_s4p.pth", "h": "vit_h_s4p.pth"},
    "-upernet": {"b": "vit_b_s4p_upernet.pth", "l": "vit_l_s4p_upernet.pth", "h": "vit_h_s4p_upernet.pth"},
    "-moe": {"b": "s5_vit_b_moe_mdf.pth", "l": "s5_vit_l_moe_mdf.pth", "h": "s5_vit_h_moe_mdf.pth"},
    # The authors call both by the same name. Should the repository hold the segmenter there, it is refused.
    "-moe-det": {"b": "s5_vit_b_moe_mdf.pth", "l": "s5_vit_l_moe_mdf.pth", "h": "s5_vit_h_moe_mdf.pth"},
}

# 256 in every official model; the small sizes are narrower than that or hardly wider, so a quarter of their width.
SMALL_EXPERT_CHANNELS = {"ti": 48, "s": 96}

# Encoders that others have converted to safetensors: names -> the repository that holds them, in folders of its own.
CONVERTED_ENCODERS = dict.fromkeys(("s5-vit-b", "s5-vit-l"), "BiliSakura/S5-transformers")

# Name -> "owner/repository" with a folder of this package. None is published yet.
HUB_REPOSITORIES: dict[str, str] = {}

# The official detectors work at 1024 px and store position embeddings for that.
DETECTION_IMAGE_SIZE = 1024


@dataclass(frozen=True)
class KnownModel:
    """What a name stands for.

    Args:
        name: such as `s5-vit-b-upernet`.
        config: the configuration; to be copied, not changed.
        official_file: the checkpoint in the official release as its code calls it, None where there is none.
        repository: a Hub repository with a folder of this package, None where there is none.
        converted_repository: a Hub repository with safetensors of the official encoder that others have made.
    """

    name: str
    config: PretrainedConfig
    official_file: str | None = None
    repository: str | None = None
    converted_repository: str | None = None


def config_of(size: str, kind: str) -> PretrainedConfig:
    """The configuration of a ViT size and a kind.

    Kinds: encoder (`""`), iSAID segmenter (`"-upernet"`), MoE-MDF segmenter (`"-moe"`), MoE-MDF detector
    (`"-moe-det"`).
    """
    if kind == "":
        return S5ViTConfig.from_size(size)
    if kind == "-upernet":
        return S5SegmentationConfig(S5ViTConfig.from_size(size), tasks=[task_settings(PRETRAINING_TASK)])
    expert_channels = SMALL_EXPERT_CHANNELS.get(size, 256)
    if kind == "-moe":
        vit = S5ViTConfig.from_size(size, num_experts=len(MOE_MDF_TASKS), expert_channels=expert_channels)
        return S5SegmentationConfig(vit, tasks=[task_settings(name) for name in MOE_MDF_TASKS])
    vit = S5ViTConfig.from_size(
        size, num_experts=len(DETECTION_TASKS), expert_channels=expert_channels, image_size=DETECTION_IMAGE_SIZE
    )
    return S5DetectionConfig(vit, tasks=[detection_task_settings(name) for name in DETECTION_TASKS])


KNOWN_MODELS: dict[str, KnownModel] = {
    f"{NAME_PREFIX}{size}{kind}": KnownModel(
        name=f"{NAME_PREFIX}{size}{kind}",
        config=config_of(size, kind),
        official_file=OFFICIAL_FILES[kind].get(size),
        repository=HUB_REPOSITORIES.get(f"{NAME_PREFIX}{size}{kind}"),
        converted_repository=CONVERTED_ENCODERS.get(f"{NAME_PREFIX}{size}{kind}"),
    )
    for size in VIT_SIZES
    for kind in OFFICIAL_FILES
}


def known_model(name: str) -> KnownModel:
    """The table's entry.

    Raises:
        OSError: for a name of this family that does not exist. It is an OSError because that is what
            `from_pretrained` raises for a model it cannot find.
    """
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name]
    close = difflib.get_close_matches(name, KNOWN_MODELS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise OSError(f"there is no model {name!r}; {hint}Known names: {', '.join(KNOWN_MODELS)}")


def repository_variable(name: str) -> str:
    """The environment variable that names a Hub repository for `name`: `S5_HF_REPO_S5_VIT_B` for `s5-vit-b`."""
    return "S5_HF_REPO_" + name.upper().replace("-", "_")


def repository_of(name: str) -> str | None:
    """The Hub repository of a known name: from its environment variable, else from the table, else None."""
    return os.environ.get(repository_variable(name)) or known_model(name).repository


def vit_config_of(config: PretrainedConfig) -> PretrainedConfig:
    """The ViT inside a configuration: the backbone's for segmenters and detectors, else the configuration itself."""
    if isinstance(config, SegEarthOVConfig):
        return config.clip_config.vision_config
    return getattr(config, "backbone_config", config)


def count_parameters(config: PretrainedConfig) -> int:
    """Number of parameters of the model of this configuration, without allocating them."""
    return sum(parameter.numel() for parameter in model_without_memory(config).parameters())


def count_bytes(config: PretrainedConfig) -> int:
    """Bytes of all tensors of the model of this configuration, statistics of normalisations included."""
    tensors = model_without_memory(config).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def model_without_memory(config: PretrainedConfig) -> PreTrainedModel:
    """A model of this configuration on the meta device."""
    with torch.device("meta"):
        return (NETWORKS | PLAIN_NETWORKS)[config.model_type](config)
