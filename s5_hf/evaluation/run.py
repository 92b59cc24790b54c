"""One evaluation from start to end: what `s5-hf evaluate` and the examples call."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from accelerate import Accelerator
from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING

from ..conversion.official_tasks import DETECTION_TASKS
from ..dataset_builders.builder import BandConfig
from ..dataset_builders.registry import get_entry
from ..files.atomic import require_absent
from ..files.processes import patient_accelerator
from ..hub.model_folder import require_model_folder
from ..metrics.percent import in_percent
from ..modeling import MVCCConfig, S5ChangeDetectionConfig, S5DetectionConfig, SegEarthR1Config, SRUITConfig
from ..predictors.torch_detector import load_detector
from ..predictors.torch_segmenter import load_segmenters
from ..scenes.detection.patch_merging import are_patches
from ..training.segmentation.class_map import ClassMap
from .by_sample.captioning import evaluate_captioner
from .by_sample.reasoning import evaluate_reasoner
from .by_sample.translation import evaluate_translator
from .change_detection.run import evaluate_change_detector
from .data import EvaluationData, check_classes, load_evaluation_data
from .detection.loop import has_objects, judge_detections, result_names
from .detection.protocol import choose_detection_protocol
from .detection.report import DetectionResults
from .report import EvaluationResults
from .segmentation.loop import count_segmentation
from .segmentation.named_protocol import choose_named_protocol, choose_names, with_named_classes
from .segmentation.report import SegmentationResults
from .settings import EvaluationSettings

__all__ = [
    "EvaluationSettings",
    "evaluate_detector",
    "evaluate_segmenter",
    "model_kind",
    "run_evaluation",
]


def run_evaluation(settings: EvaluationSettings, accelerator: Accelerator | None = None) -> EvaluationResults:
    """Evaluate a model, by what its configuration says it is, and write the report in the main process.

    Raises:
        KeyError: for an unknown dataset; lists the known.
        FileNotFoundError: if the folder of the data or of the model does not exist.
        FileExistsError: if the folder for class maps or result files is taken.
        ValueError: if model, task, dataset, split or protocol do not go together.
    """
    require_model_folder(settings.model)
    accelerator = accelerator or patient_accelerator()
    evaluate = _EVALUATIONS[model_kind(AutoConfig.from_pretrained(settings.model))]
    results = evaluate(settings, accelerator)
    if accelerator.is_main_process and settings.output is not None:
        results.write(settings.output)
    accelerator.wait_for_everyone()
    return results


def model_kind(config: PretrainedConfig) -> str:
    """What a model does, a key of `_EVALUATIONS`.

    Raises:
        ValueError: if it cannot be evaluated.
    """
    if type(config) in MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING:
        return "segmentation"
    for config_class, kind in _KINDS.items():
        if isinstance(config, config_class):
            return kind
    raise ValueError(
        f"a model of the type {config.model_type!r} cannot be evaluated; expected one for {', '.join(_EVALUATIONS)}"
    )


def evaluate_segmenter(settings: EvaluationSettings, accelerator: Accelerator) -> SegmentationResults:
    """Evaluate a segmentation model. Raises as [`run_evaluation`]."""
    entry = get_entry(settings.dataset)
    config = AutoConfig.from_pretrained(settings.model)
    named = choose_names(entry, config, settings.classes, settings.names)
    protocol = choose_named_protocol(entry, named, settings.protocol, **settings.protocol_changes)
    if settings.loop.detections is not None:
        raise ValueError("result files of detections are for detectors; a segmenter has class maps (--class-maps)")
    if settings.loop.class_maps is not None:
        require_absent(Path(settings.loop.class_maps))
    tasks = getattr(config, "tasks", {})
    task = dataset_task(tasks, settings)
    classes = settings.classes if named is None else named.classes
    (segmenter,) = load_segmenters(settings.model, task, (accelerator.device,), settings.precision, classes=classes)
    labels = entry.labels if named else [segmenter.id2label[index] for index in range(segmenter.num_labels)]
    data = _load_data(
        settings,
        accelerator,
        labels,
        "segmentation",
        model_class_map(config, task, settings),
        getattr(segmenter, "bands", None),
    )
    if named is not None:
        segmenter.model.config.cls_lambda = named.cls_lambda
        data = with_named_classes(data, named, settings.left_out)
    counts = count_segmentation(segmenter, data, protocol, accelerator, settings.loop)
    return SegmentationResults(
        model=settings.model,
        task=task or (next(iter(tasks)) if tasks else None),
        data=data,
        protocol=protocol,
        images=len(data.samples),
        scores=in_percent(counts.scores(settings.leave_out_absent)) if counts.confusion.counts.sum() else None,
        class_maps=settings.loop.class_maps,
    )


def model_class_map(config: PretrainedConfig, task: str | None, settings: EvaluationSettings) -> ClassMap | None:
    """The class map of a model's task where it is to be applied, as `EvaluationSettings.apply_class_map` says.

    Raises:
        ValueError: if one is asked for and the task has none.
    """
    name = task or next(iter(getattr(config, "tasks", {})), None)
    stored = getattr(config, "class_maps", {}).get(name)
    wanted = settings.apply_class_map
    if wanted is None:
        said = {"classes", "value_map", "colours"} & set(settings.options)
        wanted = stored is not None and stored["dataset"] == settings.dataset and not said
    if not wanted:
        return None
    if stored is None:
        raise ValueError(f"{settings.model} has no class map for its task {name!r}: it was trained without one")
    return ClassMap.from_values(stored["values"], name)


def evaluate_detector(settings: EvaluationSettings, accelerator: Accelerator) -> DetectionResults:
    """Evaluate an oriented detector. Raises as [`run_evaluation`]."""
    entry, loop = get_entry(settings.dataset), settings.loop
    if settings.classes or settings.names:
        raise ValueError("classes are for open-vocabulary segmenters; a detector has its own")
    protocol = choose_detection_protocol(entry, settings.protocol, **settings.protocol_changes)
    if loop.class_maps is not None:
        raise ValueError("class maps are for segmenters; a detector has result files (--detections)")
    if settings.left_out or settings.leave_out_absent:
        raise ValueError(
            "left_out and leave_out_absent are for segmentation; the mean of a detector is over all classes with "
            "objects"
        )
    if loop.detections is not None:
        require_absent(Path(loop.detections))
    if settings.apply_class_map:
        raise ValueError("apply_class_map is for segmentation: a detector has none")
    task = dataset_task(AutoConfig.from_pretrained(settings.model).tasks, settings)
    detector = load_detector(settings.model, task, accelerator.device, settings.precision)
    data = _load_data(settings, accelerator, detector.labels, "detection", bands=getattr(detector, "bands", None))
    ids = list(map(str, data.samples["id"]))
    names = result_names(ids) if loop.detections is not None else {name: name.rpartition("/")[2] for name in ids}
    metric = judge_detections(detector, data, protocol, accelerator, loop)
    labelled = has_objects(data)
    return DetectionResults(
        model=settings.model,
        task=detector.task,
        data=data,
        protocol=protocol,
        images=len(ids),
        curves=metric.precision_recall() if labelled else None,
        scores=in_percent(metric.compute()) if labelled else None,
        patches=are_patches(list(names.values())),
        detections=loop.detections,
    )


def dataset_task(tasks: Mapping[str, Sequence[str]], settings: EvaluationSettings) -> str | None:
    """The task asked for, or that of the dataset's name, such as `dior` for `s5-dior-r`, where there are several."""
    if settings.task is not None or len(tasks) == 1:
        return settings.task
    same_name = settings.dataset.removeprefix("s5-")
    official = [name for name, dataset in DETECTION_TASKS.items() if dataset == settings.dataset]
    return next((name for name in (same_name, *official) if name in tasks), None)


def _load_data(
    settings: EvaluationSettings,
    accelerator: Accelerator,
    labels: Sequence[str],
    task: str,
    class_map: ClassMap | None = None,
    bands: Sequence[int | str] | None = None,
) -> EvaluationData:
    """The data of the settings, whose classes are those of the model, and whose files give its bands."""
    reads_bands = issubclass(get_entry(settings.dataset).builder_class().BUILDER_CONFIG_CLASS, BandConfig)
    chosen = {"bands": list(bands)} if bands is not None and reads_bands else {}
    source, options = (
        (settings.dataset, settings.split, settings.data_dir),
        (chosen | settings.options, settings.left_out),
    )
    with accelerator.main_process_first():  # it prepares the data, the others find it prepared
        data = load_evaluation_data(*source, labels, *options, task, class_map)
    check_classes(labels, data, settings.by_position)
    return data


_EVALUATIONS: dict[str, Callable[[EvaluationSettings, Accelerator], EvaluationResults]] = {
    "segmentation": evaluate_segmenter,
    "detection": evaluate_detector,
    "change": evaluate_change_detector,
    "reasoning": evaluate_reasoner,
    "captioning": evaluate_captioner,
    "translation": evaluate_translator,
}
_KINDS: dict[type[PretrainedConfig], str] = {
    S5DetectionConfig: "detection",
    S5ChangeDetectionConfig: "change",
    SegEarthR1Config: "reasoning",
    MVCCConfig: "captioning",
    SRUITConfig: "translation",
}
