"""The model card (README.md) of a pushed model."""

import re
from collections.abc import Mapping, Sequence

from huggingface_hub import ModelCard, ModelCardData
from transformers import PretrainedConfig

from ..modeling import MambaHSIConfig, S5DetectionConfig, S5SegmentationConfig, SegEarthOVConfig
from .names import count_parameters
from .purposes import ENCODER, purpose_of

Metrics = dict[str, dict[str, float]]


def check_metrics(metrics: Mapping[str, object] | None, config: PretrainedConfig) -> Metrics:
    """Metrics as `{task: {metric: value}}`; `{metric: value}` will do for a model of one task.

    Raises:
        ValueError: if a value is not a number, or a task is not one of the model's.
    """
    if not metrics:
        return {}
    purpose = purpose_of(config)
    tasks = list(getattr(config, "tasks", ["features" if purpose is ENCODER else purpose.tag]))
    if not any(isinstance(values, Mapping) for values in metrics.values()):
        if len(tasks) > 1:
            raise ValueError(f"the model has the tasks {', '.join(tasks)}: give the metrics by task")
        metrics = {tasks[0]: metrics}
    checked: Metrics = {}
    for task, values in metrics.items():
        if task not in tasks and hasattr(config, "tasks"):
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
    purpose = purpose_of(config)
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
        *([classes_section(config)] if hasattr(config, "tasks") else named_classes_section(config)),
        *([metrics_section(metrics)] if metrics else []),
        f"## Usage\n\n{usage(config, repository)}",
        f"## Licence\n\n{escaped(license_name or 'Not stated by the owner of this repository.')}\n",
    ]
    return ModelCard("\n".join(sections))


def description(config: PretrainedConfig) -> str:
    """The opening paragraphs: what the model does, what it consists of, and what it takes."""
    purpose, encoder = purpose_of(config), getattr(config, "backbone_config", config)
    millions = count_parameters(config) / 1e6
    experts = f", {encoder.num_experts} task experts" if getattr(encoder, "num_experts", 0) else ""
    others = [getattr(config, name, None) for name in ("language_config", "video_config", "decoder_config")]
    kinds = " and ".join(part.model_type for part in (encoder, *others) if part is not None)
    what = f"{purpose.description}, after {purpose.source}: {kinds}{experts}, {millions:.1f} M parameters."
    return f"{what}\n\nIt takes {purpose.takes}.\n"


def classes_section(config: S5SegmentationConfig | S5DetectionConfig) -> str:
    """Classes per task, in the order of the logits, and for segmentation the label that the loss leaves out."""
    ignores = isinstance(config, S5SegmentationConfig)
    rows = []
    for task, labels in config.tasks.items():
        ignored = f" {config.ignore_index_of(task)} |" if ignores else ""
        rows.append(f"| {escaped(task)} | {numbered(labels)} |{ignored}")
    title = ["| task | classes |" + (" ignored label |" if ignores else ""), "|---|---|" + ("---|" if ignores else "")]
    return "\n".join(["## Classes\n", *title, *rows, ""])


def named_classes_section(config: PretrainedConfig) -> list[str]:
    """The same of a model without tasks: its classes where it has some by name."""
    if isinstance(config, SegEarthOVConfig):
        if not config.classes:
            return ["## Classes\n\nThose that you name, each with synonyms after commas.\n"]
    elif not isinstance(config, MambaHSIConfig):
        return []
    labels = [config.id2label[index] for index in range(config.num_labels)]
    return [f"## Classes\n\n{numbered(labels)}\n"]


def numbered(labels: Sequence[str]) -> str:
    """Labels with their numbers."""
    return ", ".join(f"{index} {escaped(label)}" for index, label in enumerate(labels))


def metrics_section(metrics: Metrics) -> str:
    """The metrics as a table, one row each."""
    rows = [
        f"| {escaped(task)} | {escaped(metric)} | {value:g} |"
        for task, values in metrics.items()
        for metric, value in values.items()
    ]
    return "\n".join(["## Metrics\n", "| task | metric | value |", "|---|---|---|", *rows, ""])


def usage(config: PretrainedConfig, repository: str) -> str:
    """A snippet from files to what the model is for."""
    purpose, repository = purpose_of(config), literal(repository)
    tasks = list(getattr(config, "tasks", ()))
    task = f", task={literal(tasks[-1])}" if len(tasks) > 1 else ""
    opened = "\n".join(f"{name} = {expression}" for name, expression in purpose.files.items())
    inputs = f'processor({purpose.arguments or ", ".join(purpose.files)}, return_tensors="pt")'
    return f"""```python
{purpose.imports}
from transformers import {", ".join(sorted((purpose.auto_processor, purpose.auto_class)))}

processor = {purpose.auto_processor}.from_pretrained({repository}{purpose.loading})
model = {purpose.auto_class}.from_pretrained({repository}{purpose.loading}).eval()

{opened}
{purpose.call.format(inputs=inputs, task=task)}
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
