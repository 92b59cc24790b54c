"""Registration of the networks with the Auto classes of transformers."""

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForSemanticSegmentation,
)

from .auto_backbone import let_auto_backbone_load_folders
from .modeling import (
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
    S5ViTModel,
)


def register_networks() -> None:
    """Make the Auto classes know the S5 networks; doing so again changes nothing."""
    for config_class in (S5ViTConfig, S5SegmentationConfig):
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoImageProcessor.register(config_class, slow_image_processor_class=S5ImageProcessor, exist_ok=True)
    AutoModel.register(S5ViTConfig, S5ViTModel, exist_ok=True)
    AutoBackbone.register(S5ViTConfig, S5ViTBackbone, exist_ok=True)
    AutoModelForSemanticSegmentation.register(S5SegmentationConfig, S5ForSemanticSegmentation, exist_ok=True)
    let_auto_backbone_load_folders()
