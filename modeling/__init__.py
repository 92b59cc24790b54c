"""The S5 networks. This folder imports torch and transformers only, so a model travels to the Hub with its code."""

from .configuration_mamba_hsi import MambaHSIConfig
from .configuration_mvcc import MVCCConfig
from .configuration_s5 import S5DetectionConfig, S5SegmentationConfig
from .configuration_s5_change import S5ChangeDetectionConfig
from .configuration_s5_dinov2 import S5Dinov2Config
from .configuration_s5_efficientnet_lite import S5EfficientNetLiteConfig
from .configuration_s5_segformer import S5SegformerConfig
from .configuration_s5_vit import S5ViTConfig
from .configuration_samroad import SamRoadConfig
from .configuration_segearth_ov import SegEarthOVConfig
from .configuration_segearth_r1 import SegEarthR1Config
from .configuration_sruit import SRUITConfig
from .image_processing_mamba_hsi import MambaHSIImageProcessor
from .image_processing_s5 import S5ImageProcessor
from .image_processing_s5_change import S5ChangeImageProcessor
from .image_processing_sruit import SRUITImageProcessor
from .modeling_mamba_hsi import MambaHSIForSemanticSegmentation
from .modeling_mvcc import MVCCForChangeCaptioning
from .modeling_s5_change import S5ForChangeDetection
from .modeling_s5_detection import S5ForOrientedObjectDetection, S5ObjectDetectionOutput
from .modeling_s5_dinov2 import S5Dinov2Backbone
from .modeling_s5_efficientnet_lite import S5EfficientNetLiteBackbone
from .modeling_s5_segformer import S5SegformerBackbone
from .modeling_s5_segmentation import S5ForSemanticSegmentation, S5SegmenterOutput
from .modeling_s5_vit import S5ViTBackbone, S5ViTModel
from .modeling_samroad import SamRoadForRoadGraph, SamRoadOutput
from .modeling_segearth_ov import SegEarthOVForSemanticSegmentation
from .modeling_segearth_r1 import SegEarthR1ForPixelReasoning, SegEarthR1Output
from .modeling_sruit import SRUITModel, SRUITOutput
from .processing_mvcc import MVCCImageProcessor, MVCCProcessor
from .processing_samroad import SamRoadProcessor
from .processing_segearth_ov import SegEarthOVImageProcessor, SegEarthOVProcessor
from .processing_segearth_r1 import SegEarthR1ImageProcessor, SegEarthR1Processor
from .simfeatup import SimFeatUpUpsampler

__all__ = [
    "MVCCConfig",
    "MVCCForChangeCaptioning",
    "MVCCImageProcessor",
    "MVCCProcessor",
    "MambaHSIConfig",
    "MambaHSIForSemanticSegmentation",
    "MambaHSIImageProcessor",
    "S5ChangeDetectionConfig",
    "S5ChangeImageProcessor",
    "S5DetectionConfig",
    "S5Dinov2Backbone",
    "S5Dinov2Config",
    "S5ForChangeDetection",
    "S5ForOrientedObjectDetection",
    "S5ForSemanticSegmentation",
    "S5ImageProcessor",
    "S5ObjectDetectionOutput",
    "S5EfficientNetLiteBackbone",
    "S5EfficientNetLiteConfig",
    "S5SegformerBackbone",
    "S5SegformerConfig",
    "S5SegmentationConfig",
    "S5SegmenterOutput",
    "S5ViTBackbone",
    "S5ViTConfig",
    "S5ViTModel",
    "SRUITConfig",
    "SRUITImageProcessor",
    "SRUITModel",
    "SRUITOutput",
    "SamRoadConfig",
    "SamRoadForRoadGraph",
    "SamRoadOutput",
    "SamRoadProcessor",
    "SegEarthOVConfig",
    "SegEarthOVForSemanticSegmentation",
    "SegEarthOVImageProcessor",
    "SegEarthOVProcessor",
    "SegEarthR1Config",
    "SegEarthR1ForPixelReasoning",
    "SegEarthR1ImageProcessor",
    "SegEarthR1Output",
    "SegEarthR1Processor",
    "SimFeatUpUpsampler",
]
