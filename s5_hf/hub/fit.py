"""Whether a model is what a known name stands for."""

from transformers import PretrainedConfig

from ..conversion import ConversionReport
from ..modeling import S5DetectionConfig, S5SegmentationConfig, S5ViTConfig, SamRoadConfig, SegEarthOVConfig
from .names import KNOWN_MODELS, known_model, vit_config_of

# The settings that decide shapes and outputs.
VIT_SETTINGS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "image_size",
    "patch_size",
    "num_channels",
    "num_experts",
    "use_feature_pyramid",
    "out_indices",
)
HEAD_SETTINGS = {
    S5ViTConfig.model_type: (),
    S5SegmentationConfig.model_type: ("decoder_channels", "pool_scales"),
    S5DetectionConfig.model_type: (
        "fpn_channels",
        "anchor_scale",
        "anchor_ratios",
        "roi_channels",
        "roi_size",
        "finest_scale",
    ),
}
SIZE_SETTINGS = ("hidden_size", "num_hidden_layers")


def name_for(report: ConversionReport) -> str:
    """The known name whose configuration a converted checkpoint has exactly.

    Raises:
        ValueError: if there is none, or the checkpoint is of MAE, whose weights no name stands for.
    """
    if report.kind.startswith("MAE"):
        raise ValueError("no known name stands for a MAE encoder; give the name under which to store it")
    if isinstance(report.config, SegEarthOVConfig):
        raise ValueError("no name follows from a CLIP or an up-sampler; give it: segearth-ov or segearth-ov-sar")
    if isinstance(report.config, SamRoadConfig):
        raise ValueError("no known name stands for a road model; give the folder to make instead of --store")
    for name, model in KNOWN_MODELS.items():
        if not config_differences(report.config, model.config):
            return name
    raise ValueError(
        f"no known name stands for this {report.kind} exactly; give the name under which to store it, "
        f"one of {', '.join(KNOWN_MODELS)}"
    )


def require_fit(config: PretrainedConfig, name: str) -> None:
    """Raise a ValueError unless a configuration is of the kind and the ViT size of a known name."""
    expected = known_model(name).config
    if config.model_type != expected.model_type:
        raise ValueError(f"{name} stands for a {expected.model_type!r} model, this is a {config.model_type!r} model")
    differences = differing(vit_config_of(config), vit_config_of(expected), SIZE_SETTINGS)
    if differences:
        raise ValueError(f"this model is not of the size of {name}: {'; '.join(differences)}")


def require_open(config: PretrainedConfig, name: str) -> None:
    """Raise a ValueError unless a configuration is of a model that takes any classes, as this name stands for."""
    if not isinstance(config, SegEarthOVConfig):
        raise ValueError(f"{name} stands for a SegEarth-OV model, this is a {config.model_type!r} model")


def require_equal(config: PretrainedConfig, name: str) -> None:
    """Raise a ValueError unless a configuration is that of a known name; every difference is named."""
    differences = config_differences(config, known_model(name).config)
    if differences:
        raise ValueError(f"this model is not {name}: {'; '.join(differences)}")


def config_differences(found: PretrainedConfig, expected: PretrainedConfig) -> list[str]:
    """The settings of model and ViT in which two configurations differ, in words."""
    if found.model_type != expected.model_type:
        return [f"model_type is {found.model_type!r} instead of {expected.model_type!r}"]
    differences = differing(vit_config_of(found), vit_config_of(expected), VIT_SETTINGS)
    if getattr(vit_config_of(expected), "num_experts", 0):
        differences += differing(vit_config_of(found), vit_config_of(expected), ("expert_channels",))
    differences += differing(found, expected, HEAD_SETTINGS[expected.model_type])
    if isinstance(expected, S5ViTConfig):
        return differences
    # As lists, because the order of the tasks is the order of the experts.
    if list(found.tasks.items()) != list(expected.tasks.items()):
        differences.append(f"tasks are {found.tasks} instead of {expected.tasks}")
    return differences


def differing(found: PretrainedConfig, expected: PretrainedConfig, settings: tuple[str, ...]) -> list[str]:
    """The settings with unequal values, as `name is found instead of expected`."""
    pairs = [(setting, getattr(found, setting, None), getattr(expected, setting)) for setting in settings]
    return [f"{setting} is {value} instead of {wanted}" for setting, value, wanted in pairs if value != wanted]
