"""The model card (README.md) of a pushed model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from huggingface_hub import ModelCard, ModelCardData
from transformers import PretrainedConfig

from ..modeling import S5ChangeDetectionConfig, S5DetectionConfig, S5SegmentationConfig, S5ViTConfig, SamRoadConfig
from .names import count_parameters

Metrics = dict[str, dict[str, float]]

PAPER = "https://arxiv.org/abs/2508.12409"
ROAD_PAPER = "https://arxiv.org/abs/2411.16733"


@dataclass(frozen=True)
class Purpose:
    """What the card says of a kind of model.

    Attributes:
        pipeline_tag, tag: the Hub's words for it.
        description: a person's words for it.
        auto_class: what loads it.
        result: lines of the snippet that turn `outputs` into what people want.
        images: variables and file names of the images that the snippet opens.
    """

    pipeline_tag: str
    tag: str
    description: str
    auto_class: str
    result: str
    images: Mapping[str, str] = field(default_factory=lambda: {"image": "image.png"})


PURPOSES = {
    S5ViTConfig.model_type: Purpose(
        "image-feature-extraction",
        "feature-extraction",
        "Encoder for remote-sensing images (four-level feature pyramid)",
        "AutoBackbone",
        "feature_maps = outputs.feature_maps  # strides 4, 8, 16, 32",
    ),
    S5SegmentationConfig.model_type: Purpose(
        "image-segmentation",
        "semantic-segmentation",
        "Semantic segmentation of remote-sensing images",
        "AutoModelForSemanticSegmentation",
        "class_map = processor.post_process_semantic_segmentation(outputs)[0]  # (height, width), class ids",
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
        "change_map = processor.post_process_semantic_segmentation(outputs)[0]  # (height, width), class ids",
        {"before": "before.png", "after": "after.png"},
    ),
    SamRoadConfig.model_type: Purpose(
        "image-segmentation",
        "road-graph",
        "Road graphs from remote-sensing images",
        "AutoModel",
        "keypoints, roads = outputs.probabilities[0]  # (height, width) each\n"
        "# s5-hf roads MODEL scene.tif roads.gpkg draws the graph of a whole scene",
    ),
}


def check_metrics(metrics: Mapping[str, object] | None, config: PretrainedConfig) -> Metrics:
    """Metrics as `{task: {metric: value}}`; `{metric: value}` will do for a model of one task.

    Raises:
        ValueError: if a value is not a number, or a task is not one of the model's.
    """
    if not metrics:
        return {}
    tasks = list(getattr(config, "tasks", ["features"]))
    if not any(isinstance(values, Mapping) for values in metrics.values()):
        if len(tasks) > 1:
            raise ValueError(f"the model has the tasks {', '.join(tasks)}: give the metrics by task")
        metrics = {tasks[0]: metrics}
    checked: Metrics = {}
    for task, values in metrics.items():
        if task not in tasks and not isinstance(config, S5ViTConfig):
            raise ValueError(f"metrics of an unknown task {task!r}; the model's tasks: {', '.join(tasks)}")
        if not isinstance(values, Mapping):
            raise ValueError(f"metrics of {task!r} are {values!r}, expected an object of numbers by metric")
        for metric, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"the metric {metric!r} of {task!r} is {value!r}, expected a number")
        checked[task] = dict(values)
    return checked


def model_card(config: PretrainedConfig, repository: str, license_name: str | None, metrics: Metrics) -> ModelCard:
    """The card: what the model does, its classes, its figures, and a snippet that runs."""
    purpose = PURPOSES[config.model_type]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=purpose.pipeline_tag,
        license=license_name,
        tags=["remote-sensing", "s5", purpose.tag],
    )
    sections = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {escaped(repository.split('/')[-1])}\n",
        description(config),
        *([classes_section(config)] if hasattr(config, "tasks") else []),
        *([metrics_section(metrics)] if metrics else []),
        f"## Usage\n\n{usage(config, repository)}",
        f"## Licence\n\n{escaped(license_name or 'Not stated by the owner of this repository.')}\n",
    ]
    return ModelCard("\n".join(sections))


def description(config: PretrainedConfig) -> str:
    """The opening paragraph."""
    vit = getattr(config, "backbone_config", config)
    millions = count_parameters(config) / 1e6
    experts = f", {vit.num_experts} task experts" if getattr(vit, "num_experts", 0) else ""
    what = PURPOSES[config.model_type].description
    source = f"[SAM-Road++]({ROAD_PAPER})" if isinstance(config, SamRoadConfig) else f"[S5]({PAPER})"
    return f"{what}, after {source}: {vit.model_type}{experts}, {millions:.1f} M parameters.\n"


def classes_section(config: S5SegmentationConfig | S5DetectionConfig) -> str:
    """Classes per task, in the order of the logits, and for segmentation the label that the loss leaves out."""
    ignores = isinstance(config, S5SegmentationConfig)
    rows = []
    for task, labels in config.tasks.items():
        ignored = f" {config.ignore_index_of(task)} |" if ignores else ""
        classes = ", ".join(f"{index} {escaped(label)}" for index, label in enumerate(labels))
        rows.append(f"| {escaped(task)} | {classes} |{ignored}")
    title = ["| task | classes |" + (" ignored label |" if ignores else ""), "|---|---|" + ("---|" if ignores else "")]
    return "\n".join(["## Classes\n", *title, *rows, ""])


def metrics_section(metrics: Metrics) -> str:
    """The metrics as a table, one row each."""
    rows = [
        f"| {escaped(task)} | {escaped(metric)} | {value:g} |"
        for task, values in metrics.items()
        for metric, value in values.items()
    ]
    return "\n".join(["## Metrics\n", "| task | metric | value |", "|---|---|---|", *rows, ""])


def usage(config: PretrainedConfig, repository: str) -> str:
    """A snippet from an image file to feature maps, a class map or objects."""
    purpose, repository = PURPOSES[config.model_type], literal(repository)
    tasks = list(getattr(config, "tasks", ()))
    task = f", task={literal(tasks[-1])}" if len(tasks) > 1 else ""
    opened = "\n".join(f'{name} = Image.open("{file}")' for name, file in purpose.images.items())
    return f"""```python
from PIL import Image
from transformers import {", ".join(sorted(("AutoImageProcessor", purpose.auto_class)))}

processor = AutoImageProcessor.from_pretrained({repository}, trust_remote_code=True)
model = {purpose.auto_class}.from_pretrained({repository}, trust_remote_code=True).eval()

{opened}
outputs = model(**processor({", ".join(purpose.images)}, return_tensors="pt"){task})
{purpose.result}
```
"""


def escaped(text: str) -> str:
    """Text that shows as it is in a line of Markdown, also in a table: no markup, no HTML, no line breaks."""
    return re.sub(r"[^\w\s.,;()/-]|_", lambda match: f"&#{ord(match[0])};", " ".join(str(text).split()))


def literal(text: str) -> str:
    """A Python string for a snippet, in ASCII and without backticks, which could end the snippet."""
    content = text.encode("unicode_escape").decode("ascii").replace('"', '\\"').replace("`", "\\x60")
    return f'"{content}"'
