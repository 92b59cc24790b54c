"""The model card (README.md) of a pushed model."""

from collections.abc import Mapping

from huggingface_hub import ModelCard, ModelCardData
from transformers import PretrainedConfig

from ..modeling import S5SegmentationConfig
from .names import count_parameters

Metrics = dict[str, dict[str, float]]

PAPER = "https://arxiv.org/abs/2508.12409"


def check_metrics(metrics: Mapping[str, object] | None, config: PretrainedConfig) -> Metrics:
    """Metrics as `{task: {metric: value}}`; `{metric: value}` will do for a model of one task.

    Raises:
        ValueError: if a value is no number, or a task is not one of the model's.
    """
    if not metrics:
        return {}
    tasks = list(config.tasks) if isinstance(config, S5SegmentationConfig) else ["features"]
    if not any(isinstance(values, Mapping) for values in metrics.values()):
        if len(tasks) > 1:
            raise ValueError(f"the model has the tasks {', '.join(tasks)}: give the metrics by task")
        metrics = {tasks[0]: metrics}
    checked: Metrics = {}
    for task, values in metrics.items():
        if task not in tasks and isinstance(config, S5SegmentationConfig):
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
    segmentation = isinstance(config, S5SegmentationConfig)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation" if segmentation else "image-feature-extraction",
        license=license_name,
        tags=["remote-sensing", "s5", "semantic-segmentation" if segmentation else "feature-extraction"],
    )
    sections = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {repository.split('/')[-1]}\n",
        description(config),
        *([classes_section(config)] if segmentation else []),
        *([metrics_section(metrics)] if metrics else []),
        f"## Usage\n\n{segmentation_usage(config, repository) if segmentation else encoder_usage(repository)}",
        f"## Licence\n\n{license_name or 'Not stated by the owner of this repository.'}\n",
    ]
    return ModelCard("\n".join(sections))


def description(config: PretrainedConfig) -> str:
    """The opening paragraph."""
    vit = getattr(config, "backbone_config", config)
    millions = count_parameters(config) / 1e6
    what = (
        "Semantic segmentation of remote-sensing images"
        if isinstance(config, S5SegmentationConfig)
        else "Encoder for remote-sensing images (four-level feature pyramid)"
    )
    experts = f", {vit.num_experts} task experts" if getattr(vit, "num_experts", 0) else ""
    return f"{what}, after [S5]({PAPER}): {vit.model_type}{experts}, {millions:.1f} M parameters.\n"


def classes_section(config: S5SegmentationConfig) -> str:
    """Classes per task, in the order of the logits."""
    rows = [
        f"| {task} | {', '.join(f'{index} {label}' for index, label in enumerate(labels))} "
        f"| {config.ignore_index_of(task)} |"
        for task, labels in config.tasks.items()
    ]
    return "\n".join(["## Classes\n", "| task | classes | ignored label |", "|---|---|---|", *rows, ""])


def metrics_section(metrics: Metrics) -> str:
    """The metrics as a table, one row each."""
    rows = [
        f"| {task} | {metric} | {value:g} |" for task, values in metrics.items() for metric, value in values.items()
    ]
    return "\n".join(["## Metrics\n", "| task | metric | value |", "|---|---|---|", *rows, ""])


def segmentation_usage(config: S5SegmentationConfig, repository: str) -> str:
    """A snippet from an image file to a class map."""
    tasks = list(config.tasks)
    task = f', task="{tasks[-1]}"' if len(tasks) > 1 else ""
    return f"""```python
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

processor = AutoImageProcessor.from_pretrained("{repository}", trust_remote_code=True)
model = AutoModelForSemanticSegmentation.from_pretrained("{repository}", trust_remote_code=True).eval()

image = Image.open("image.png")
outputs = model(**processor(image, return_tensors="pt"){task})
class_map = processor.post_process_semantic_segmentation(outputs)[0]  # (height, width), class ids
```
"""


def encoder_usage(repository: str) -> str:
    """A snippet from an image file to feature maps."""
    return f"""```python
from PIL import Image
from transformers import AutoBackbone, AutoImageProcessor

processor = AutoImageProcessor.from_pretrained("{repository}", trust_remote_code=True)
encoder = AutoBackbone.from_pretrained("{repository}", trust_remote_code=True).eval()

image = Image.open("image.png")
feature_maps = encoder(**processor(image, return_tensors="pt")).feature_maps  # strides 4, 8, 16, 32
```
"""
