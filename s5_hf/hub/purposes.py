"""What the model cards say of each kind of model, and the snippets that show how to use them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from transformers import CLIPConfig, PretrainedConfig

from ..modeling import (
    MambaHSIConfig,
    MVCCConfig,
    S5ChangeDetectionConfig,
    S5DetectionConfig,
    S5Dinov2Config,
    S5EfficientNetLiteConfig,
    S5SegformerConfig,
    S5SegmentationConfig,
    S5ViTConfig,
    SamRoadConfig,
    SegEarthOVConfig,
    SegEarthR1Config,
    SRUITConfig,
)

__all__ = ["ENCODER", "Purpose", "purpose_of"]

PAPER = "[S5](https://arxiv.org/abs/2508.12409)"
EIGHT_BITS = (
    "images of any size, RGB with values from 0 to 255, unless `preprocessor_config.json` names other bands (`bands`) "
    "or values (`value_scaling`)"
)


@dataclass(frozen=True)
class Purpose:
    """What the card says of a kind of model.

    Attributes:
        pipeline_tag, tag: the Hub's words for it.
        description: a person's words for it.
        auto_class: what loads it.
        result: lines of the snippet that turn `outputs` into what people want.
        source: paper or code that it comes from.
        takes: what may be given to it, in words.
        files: variables of the snippet, and the expressions that open them.
        arguments: of the processor, if they are not these variables.
        auto_processor: what loads the processor.
        call: line of the snippet that gives `outputs`; with places for the inputs and for the task.
        imports: lines of the snippet before those of transformers.
        loading: further arguments of `from_pretrained`.
    """

    pipeline_tag: str
    tag: str
    description: str
    auto_class: str
    result: str
    source: str = PAPER
    takes: str = EIGHT_BITS
    files: Mapping[str, str] = field(default_factory=lambda: {"image": 'Image.open("image.png")'})
    arguments: str = ""
    auto_processor: str = "AutoImageProcessor"
    call: str = "outputs = model(**{inputs}{task})"
    imports: str = "from PIL import Image"
    loading: str = ", trust_remote_code=True"


ENCODER = Purpose(
    "image-feature-extraction",
    "feature-extraction",
    "Encoder for remote-sensing images (four-level feature pyramid)",
    "AutoBackbone",
    "feature_maps = outputs.feature_maps  # strides 4, 8, 16, 32",
)
BOTH_DATES = {"before": 'Image.open("before.png")', "after": 'Image.open("after.png")'}
CLASS_MAP = "class_map = processor.post_process_semantic_segmentation(outputs)[0]  # (height, width), class ids"

PURPOSES = {
    S5ViTConfig.model_type: ENCODER,
    S5Dinov2Config.model_type: ENCODER,
    S5SegformerConfig.model_type: ENCODER,
    S5EfficientNetLiteConfig.model_type: ENCODER,
    S5SegmentationConfig.model_type: Purpose(
        "image-segmentation",
        "semantic-segmentation",
        "Semantic segmentation of remote-sensing images",
        "AutoModelForSemanticSegmentation",
        CLASS_MAP,
    ),
    S5DetectionConfig.model_type: Purpose(
        "object-detection",
        "oriented-object-detection",
        "Oriented object detection in remote-sensing images",
        "AutoModelForObjectDetection",
        "objects = processor.post_process_oriented_object_detection(outputs, threshold=0.5)[0]\n"
        '# objects["boxes"]: (n, 5), cx, cy, w, h in pixels, theta in radians (clockwise); also "labels" and "scores"',
    ),
    S5ChangeDetectionConfig.model_type: Purpose(
        "image-segmentation",
        "change-detection",
        "Change detection between two remote-sensing images of one place",
        "AutoModel",
        CLASS_MAP,
        files=BOTH_DATES,
    ),
    SamRoadConfig.model_type: Purpose(
        "image-segmentation",
        "road-graph",
        "Road graphs from remote-sensing images",
        "AutoModel",
        "keypoints, roads = outputs.probabilities[0]  # (height, width) each\n"
        "# s5-hf roads MODEL scene.tif roads.gpkg draws the graph of a whole scene",
        source="[SAM-Road++](https://arxiv.org/abs/2411.16733)",
    ),
    SegEarthOVConfig.model_type: Purpose(
        "image-segmentation",
        "open-vocabulary-segmentation",
        "Segmentation of remote-sensing images into classes that are given by their names",
        "AutoModelForSemanticSegmentation",
        "class_map = processor.post_process_semantic_segmentation(outputs, [image.size[::-1]])[0]  # class ids",
        source="[SegEarth-OV](https://arxiv.org/abs/2410.01768)",
        auto_processor="AutoProcessor",
        call='model.encode_classes(["background", "building,roof,house", "road"], processor)\n'
        "outputs = model(**{inputs})",
    ),
    SegEarthR1Config.model_type: Purpose(
        "image-segmentation",
        "pixel-reasoning",
        "Masks that answer questions about remote-sensing images",
        "AutoModel",
        "mask = processor.post_process_masks(outputs, [image.size[::-1]])[0]  # (height, width), bool\n"
        '# s5-hf ask MODEL scene.tif "where would a helicopter land?" mask.tif does so for a whole scene',
        source="[SegEarth-R1](https://arxiv.org/abs/2504.09644)",
        takes="images of any size, RGB with values from 0 to 255, which are brought to the size of the network, and a "
        "question or an expression in the language it was trained with",
        arguments='image, "where would a helicopter land?"',
        auto_processor="AutoProcessor",
    ),
    MVCCConfig.model_type: Purpose(
        "image-to-text",
        "change-captioning",
        "Sentences that say what changed between two remote-sensing images of one place",
        "AutoModel",
        "sentence = processor.decode_captions(outputs)[0]",
        source="[MV-CC](https://arxiv.org/abs/2410.23946)",
        takes="two images of one size, RGB with values from 0 to 255, and a mask of what changed (above 0), from a "
        "detector of changes; without a mask nothing is gated",
        files={**BOTH_DATES, "changed": 'Image.open("changed.png")'},
        auto_processor="AutoProcessor",
        call="outputs = model.generate(**{inputs}, num_beams=3)",
    ),
    MambaHSIConfig.model_type: Purpose(
        "image-segmentation",
        "hyperspectral",
        "Classes of a hyperspectral cube, which the network has learned from that cube",
        "AutoModelForSemanticSegmentation",
        CLASS_MAP,
        source="[SPECIAL](https://arxiv.org/abs/2501.16222)",
        takes="cubes (height, width, bands) of the same sensor with values in the same units, such as reflectance, as "
        "the cube that it has learned; `preprocessor_config.json` says which values become 0 and 1",
        files={"cube": 'numpy.load("cube.npy")'},
        imports="import numpy",
    ),
    SRUITConfig.model_type: Purpose(
        "image-to-image",
        "image-translation",
        "Remote-sensing images of one date with the season, light or sensor of another",
        "AutoModel",
        "image_like_after = processor.post_process_translation(outputs)[0]  # (height, width, channels), 0 to 255\n"
        "# s5-hf translate MODEL scene.tif like_after.tif does so for a whole scene",
        source="[SRUIT](https://arxiv.org/abs/2502.11468), as we read the paper: its code is not published",
        call='outputs = model(**{inputs}, to="after")  # or to="before", for an image of the second date',
    ),
    CLIPConfig.model_type: Purpose(
        "image-feature-extraction",
        "image-text-features",
        "Features of images and words in one space (CLIP), such as a training on pairs makes for radar images",
        "AutoModel",
        "features = outputs.pooler_output[0]  # (channels,), in the space of the words\n"
        "# SegEarthOVForSemanticSegmentation.from_clip of s5_hf makes maps of classes by name with it",
        source="[AlignEarth](https://arxiv.org/abs/2508.18067), as we read the paper: its training is not published",
        takes="RGB or grey images of any size with values from 0 to 255; words go through the tokenizer of the CLIP "
        "that it began as",
        call="outputs = model.get_image_features(**{inputs})",
        loading="",
    ),
}


def purpose_of(config: PretrainedConfig) -> Purpose:
    """What the card says of a model of this configuration."""
    purpose = PURPOSES[config.model_type]
    if isinstance(config, SegEarthOVConfig) and config.classes:
        return dataclasses.replace(purpose, call=Purpose.call)
    if isinstance(config, MVCCConfig) and config.video_config is None:
        return dataclasses.replace(
            purpose,
            takes=f"features of a video encoder, float (batch, tokens, {config.feature_size}), in place of images",
            files={"features": 'torch.load("features.pt", weights_only=True)'},
            call="outputs = model.generate(features=features, num_beams=3)",
            imports="import torch",
        )
    return purpose
