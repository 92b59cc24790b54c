"""One evaluation from start to end: what `s5-hf evaluate` and `examples/evaluate_segmentation.py` call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from accelerate import Accelerator
from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING

from ..atomic import require_absent
from ..curation.segmenter import Segmenter
from ..dataset_builders.registry import get_entry
from .data import check_classes, load_evaluation_data
from .protocol import choose_protocol
from .report import SegmentationResults
from .segmentation import LoopSettings, count_segmentation

__all__ = ["EvaluationResults", "EvaluationSettings", "evaluate_segmenter", "model_kind", "run_evaluation"]


class EvaluationResults(Protocol):
    """What every kind of evaluation gives."""

    def headline(self) -> str:
        """The one number, for people."""
        ...

    def as_markdown(self) -> str:
        """The report for people."""
        ...

    def write(self, folder: str | Path) -> None:
        """Write the report."""
        ...


@dataclass(frozen=True)
class EvaluationSettings:
    """What to evaluate on what, and how.

    Attributes:
        model: a folder, a Hub repository or a known name.
        dataset: name in the registry.
        data_dir: folder, `hf://` path or http(s) URL with its files.
        split: the split; that of the published numbers if left out.
        task: of a model with several tasks; if left out, the one called as the dataset without `s5-`.
        output: folder for the report, `None` to write none.
        protocol: a name of `PROTOCOLS`.
        protocol_changes: attributes of [`protocol.Protocol`] that are to be different.
        left_out: classes that means leave out; those of the published numbers if left out.
        by_position: whether class names of model and dataset may differ.
        options: of the dataset's builder.
        precision: `"fp32"` or `"bf16"`.
        loop: batch size, workers, class maps.
    """

    model: str
    dataset: str
    data_dir: str | None = None
    split: str | None = None
    task: str | None = None
    output: str | Path | None = None
    protocol: str = "published"
    protocol_changes: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] | None = None
    by_position: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"
    loop: LoopSettings = field(default_factory=LoopSettings)


def run_evaluation(settings: EvaluationSettings, accelerator: Accelerator | None = None) -> EvaluationResults:
    """Evaluate a model, by what its configuration says it is, and write the report in the main process.

    Raises:
        KeyError: for an unknown dataset; lists the known.
        FileNotFoundError: if the folder of the data does not exist.
        FileExistsError: if the folder for class maps is taken.
        ValueError: if model, task, dataset, split or protocol do not go together.
    """
    accelerator = accelerator or Accelerator()
    evaluate = _EVALUATIONS[model_kind(AutoConfig.from_pretrained(settings.model))]
    results = evaluate(settings, accelerator)
    if accelerator.is_main_process and settings.output is not None:
        results.write(settings.output)
    accelerator.wait_for_everyone()
    return results


def model_kind(config: PretrainedConfig) -> str:
    """What a model does: `"segmentation"`.

    Raises:
        ValueError: if it is nothing that can be evaluated.
    """
    if type(config) in MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING:
        return "segmentation"
    raise ValueError(
        f"a model of the type {config.model_type!r} cannot be evaluated; expected one for {', '.join(_EVALUATIONS)}"
    )


def evaluate_segmenter(settings: EvaluationSettings, accelerator: Accelerator) -> SegmentationResults:
    """Evaluate a segmentation model. Raises as [`run_evaluation`]."""
    entry = get_entry(settings.dataset)
    protocol = choose_protocol(entry, settings.protocol, **settings.protocol_changes)
    if settings.loop.class_maps is not None:
        require_absent(Path(settings.loop.class_maps))
    tasks = getattr(AutoConfig.from_pretrained(settings.model), "tasks", {})
    same_name = settings.dataset.removeprefix("s5-")
    task = same_name if settings.task is None and len(tasks) > 1 and same_name in tasks else settings.task
    segmenter = Segmenter.from_pretrained(settings.model, task, settings.precision, accelerator.device)
    with accelerator.main_process_first():  # it prepares the data, the others find it prepared
        data = load_evaluation_data(
            settings.dataset,
            settings.split,
            settings.data_dir,
            segmenter.labels,
            settings.options,
            settings.left_out,
        )
    check_classes(segmenter.labels, data, settings.by_position)
    counts = count_segmentation(segmenter, data, protocol, accelerator, settings.loop)
    return SegmentationResults(
        model=settings.model,
        task=task or (next(iter(tasks)) if tasks else None),
        data=data,
        protocol=protocol,
        images=len(data.samples),
        scores=counts.scores() if counts.confusion.counts.sum() else None,
        class_maps=settings.loop.class_maps,
    )


_EVALUATIONS: dict[str, Callable[[EvaluationSettings, Accelerator], EvaluationResults]] = {
    "segmentation": evaluate_segmenter,
}
