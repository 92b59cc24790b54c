"""Registration of the networks with the Auto classes of transformers."""

import transformers
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoModel,
    AutoModelForObjectDetection,
    AutoModelForSemanticSegmentation,
)
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from .auto_backbone import let_auto_backbone_load_folders
from .modeling import (
    S5DetectionConfig,
    S5ForOrientedObjectDetection,
    S5ForSemanticSegmentation,
    S5ImageProcessor,
    S5SegmentationConfig,
    S5ViTBackbone,
    S5ViTConfig,
    S5ViTModel,
)
from .pipelines import register_pipelines


def register_networks() -> None:
    """Make the Auto classes and `pipeline` know the S5 networks; doing so again changes nothing."""
    for config_class in (S5ViTConfig, S5SegmentationConfig, S5DetectionConfig):
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoImageProcessor.register(config_class, slow_image_processor_class=S5ImageProcessor, exist_ok=True)
    AutoModel.register(S5ViTConfig, S5ViTModel, exist_ok=True)
    AutoBackbone.register(S5ViTConfig, S5ViTBackbone, exist_ok=True)
    AutoModelForSemanticSegmentation.register(S5SegmentationConfig, S5ForSemanticSegmentation, exist_ok=True)
    AutoModelForObjectDetection.register(S5DetectionConfig, S5ForOrientedObjectDetection, exist_ok=True)
    register_pipelines()
    let_auto_backbone_load_folders()
    show_auto_image_processor()


def show_auto_image_processor() -> None:
    """Put the real `AutoImageProcessor` at the top of transformers where a placeholder stands there.

    Some versions (5.17 among them) take the class for one that needs torchvision, because its file mentions the word
    TorchvisionBackend, and without torchvision offer only a placeholder that raises. The class itself needs Pillow.
    """
    if transformers.AutoImageProcessor is not AutoImageProcessor:
        transformers.AutoImageProcessor = AutoImageProcessor
