"""Everything a fine-tuning run needs before its first step, put together from a recipe."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import set_seed
from tqdm import tqdm

from ...files.atomic import atomic_file
from ...modeling.aligned_weights import align_weights
from ..batches import ViewedDataset
from ..checkpointing.checkpoints import SEGMENTER, Checkpoints
from ..optimizer import make_optimizer
from ..pretraining.setup import listed_on_main_process, make_accelerator, processor, synchronise
from ..schedules import learning_rate_factor
from ..throughput import Throughput, forward_flops, peak_flops, step_flops
from ..validation import ValidationSettings, validate
from ..views.strong import StrongAugmentation
from ..views.weak import SampleView, WeakView
from .batches import (
    JointBatch,
    JointDataset,
    JointOrder,
    JointViews,
    joint_batches,
    order_seed,
    rows_per_batch,
    steps_per_epoch,
)
from .best_models import BestModels
from .low_rank import add_adapters, merged_adapters
from .model import TaskView, joint_model
from .recipe import FineTuningRecipe
from .step import JointStep, TaskLoss
from .task_data import TaskData, load_task

SELECTION_IN_WORDS = {
    "validation": "the best weights are chosen on the validation images",
    "last": "no weights are chosen: the last ones are the result",
    "official_test_split": "the best weights are chosen ON THE IMAGES WHOSE RESULTS ARE REPORTED, as the official "
    "code does: their scores are too good to be compared with honest ones",
}


@dataclass(frozen=True)
class JointKind:
    """What a joint training of one kind, segmentation or detection, does in its own way.

    Attributes:
        folder: of the whole model in a checkpoint.
        score: name of the value that makes weights the best, and `score_in_words`.
        load_task: the data of a dataset's settings, for a selection.
        check_tasks: raises a ValueError where tasks and recipe do not fit.
        make_model: the network at step 0, in train mode.
        saved_form: see [`Checkpoints`]; `None` for the same.
        make_step: what turns (model, batch, epoch) into a loss.
        make_throughput: from model, recipe, images per batch, a task and the accelerator.
        batches: mixed batches for ever, from the first step that is to be made.
        rate_factor: factor of the learning rate, from recipe, step and total.
        validate: named values of one task, from training, recipe, task and the path of a picture.
    """

    folder: str
    score: str
    score_in_words: str
    load_task: Callable[[Any, str], Any]
    check_tasks: Callable[[Any, Sequence[Any]], None]
    make_model: Callable[[Any, Sequence[Any]], torch.nn.Module]
    saved_form: Callable[[Any], Any]
    make_step: Callable[[Any, torch.device], Any]
    make_throughput: Callable[..., Throughput]
    batches: Callable[["JointTraining", Any], Iterator[Any]]
    rate_factor: Callable[[Any, int, int], float]
    validate: Callable[["JointTraining", Any, Any, Path], dict[str, float]]


@dataclass
class JointTraining:
    """The parts of a run that is ready to start.

    Attributes:
        kind: of training.
        accelerator: of Accelerate.
        tasks: the datasets, in the order of the experts.
        model: prepared, `None` once it is released; the bare one is `accelerator.unwrap_model(model)`.
        step: turns batches into losses.
        optimizer: prepared.
        rows: images of each dataset per batch and process.
        total_steps: of the run.
        checkpoints: writes and reads them.
        best: keeps the best weights.
        throughput: measures time.
        first_step: steps that were made before.
    """

    kind: JointKind
    accelerator: Accelerator
    tasks: tuple[Any, ...]
    model: torch.nn.Module | None
    step: Any
    optimizer: torch.optim.Optimizer | None
    rows: tuple[Fraction, ...]
    total_steps: int
    checkpoints: Checkpoints
    best: BestModels
    throughput: Throughput
    first_step: int


def set_up_fine_tuning(recipe: FineTuningRecipe, data: Sequence[TaskData] | None = None) -> JointTraining:
    """Joint training of a segmenter: see `set_up_joint_training`."""
    return set_up_joint_training(recipe, SEGMENTATION, data)


def set_up_joint_training(
    recipe: FineTuningRecipe, kind: JointKind, data: Sequence[Any] | None = None
) -> JointTraining:
    """Load data, make or load the network, prepare everything for the device, and take up a checkpoint.

    Args:
        recipe: of the run.
        kind: of training.
        data: in place of what the recipe names, in the same order.

    Raises:
        ValueError: for settings, data and networks that do not fit together.
        CheckpointError: if a run cannot be resumed.
    """
    accelerator = make_accelerator(recipe)
    if accelerator.distributed_type == DistributedType.FSDP:
        raise ValueError("fine-tuning keeps dense models of single tasks and needs whole weights: use DDP, not FSDP")
    checkpoints = make_checkpoints(recipe, kind, accelerator)
    resumed_from = checkpoints.to_resume()
    if data is None:
        with accelerator.main_process_first():  # one process fills the cache of the datasets
            data = [kind.load_task(settings, recipe.run.selection) for settings in recipe.datasets]
    tasks = tuple(data)
    kind.check_tasks(recipe, tasks)
    checkpoints.data = listed_on_main_process(accelerator, task_samples(tasks))
    set_seed(recipe.run.seed, deterministic=recipe.run.deterministic)  # the same new weights on every process
    model = synchronise(kind.make_model(recipe, tasks), recipe, accelerator).to(accelerator.device)
    rows = rows_of(recipe, tasks)
    throughput = kind.make_throughput(model, recipe, rows, tasks[0].name, accelerator)
    settings = recipe.optimizer
    optimizer = make_optimizer(
        model, settings.learning_rate, settings.weight_decay, (settings.beta1, settings.beta2), settings.layer_decay
    )
    align_weights(model)  # a resumed run gives the same bits only with weights at such addresses
    model, optimizer = accelerator.prepare(model, optimizer)
    if settings.compile:
        accelerator.unwrap_model(model).compile()
    set_seed(recipe.run.seed, device_specific=True, deterministic=recipe.run.deterministic)
    selection = describe_selection(recipe, tasks)
    first_step = 0 if resumed_from is None else checkpoints.load(resumed_from)
    if accelerator.is_main_process:
        save_selection(Path(recipe.run.output_dir), selection)
    return JointTraining(
        kind,
        accelerator,
        tasks,
        model,
        kind.make_step(recipe, accelerator.device),
        optimizer,
        rows,
        total_steps(recipe, tasks, rows, accelerator.num_processes),
        checkpoints,
        BestModels(Path(recipe.run.output_dir) / "best", processor(recipe), selection),
        throughput,
        first_step,
    )


def task_samples(tasks: Sequence[Any]) -> dict[str, Any]:
    """The training and the validation images of every task."""
    train = {f"{task.name} train": task.train for task in tasks}
    return train | {f"{task.name} validation": task.validation for task in tasks}


def make_checkpoints(recipe: FineTuningRecipe, kind: JointKind, accelerator: Accelerator) -> Checkpoints:
    """Checkpoints of a kind of training."""
    return Checkpoints(
        Path(recipe.run.output_dir) / "checkpoints",
        recipe.run.keep_checkpoints,
        accelerator,
        recipe,
        processor(recipe),
        saved_form=kind.saved_form(recipe),
        model_folder=kind.folder,
    )


def make_segmenter(recipe: FineTuningRecipe, tasks: Sequence[TaskData]) -> torch.nn.Module:
    """The segmenter at step 0, with adapters if the recipe has some."""
    model = joint_model(recipe.model, tasks, recipe.data.crop_size, len(recipe.data.image_mean))
    if recipe.model.lora_rank:
        add_adapters(model, recipe.model)
    return model


def without_adapters(recipe: FineTuningRecipe) -> Callable[..., Any] | None:
    """What makes saved models free of adapters, `None` where there are none."""
    return merged_adapters if recipe.model.lora_rank else None


def rows_of(recipe: FineTuningRecipe, tasks: Sequence[TaskData]) -> tuple[Fraction, ...]:
    """Images of each dataset per batch and process."""
    return rows_per_batch(
        [len(task.train) for task in tasks],
        [recipe.batch_size_of(settings) for settings in recipe.datasets],
        recipe.data.sampling,
        recipe.data.temperature,
    )


def check_tasks(recipe: FineTuningRecipe, tasks: Sequence[TaskData]) -> None:
    """Raise a ValueError unless tasks and settings of the datasets belong together."""
    names = [task.name for task in tasks]
    if names != [settings.name for settings in recipe.datasets]:
        raise ValueError(f"the data has the tasks {', '.join(names)}, the recipe {', '.join(recipe.data.datasets)}")
    for task, settings in zip(tasks, recipe.datasets, strict=True):
        if settings.class_weights and len(settings.class_weights) != len(task.labels):
            raise ValueError(
                f"{task.name}.class_weights has {len(settings.class_weights)} numbers for {len(task.labels)} classes"
            )


def joint_step(recipe: FineTuningRecipe, device: torch.device) -> JointStep:
    """The step of a recipe."""
    return JointStep(
        {
            settings.name: TaskLoss(
                settings.loss_weight,
                settings.loss_from_epoch,
                torch.tensor(settings.class_weights, device=device) if settings.class_weights else None,
            )
            for settings in recipe.datasets
        }
    )


def total_steps(recipe: FineTuningRecipe, tasks: Sequence[TaskData], rows: Sequence[Fraction], processes: int) -> int:
    """Optimizer steps of a run."""
    if recipe.optimizer.total_steps is not None:
        return recipe.optimizer.total_steps
    sizes = [len(task.train) for task in tasks]
    accumulation = recipe.optimizer.gradient_accumulation
    return recipe.optimizer.epochs * steps_per_epoch(sizes, rows, recipe.data.sampling, processes, accumulation)


def epoch_of(step: int, total: int, epochs: int) -> int:
    """The epoch, counted from 0, of a step counted from 0."""
    return step * epochs // total


def rate_factor(recipe: FineTuningRecipe, step: int, total: int) -> float:
    """Factor of the learning rate at a step counted from 0."""
    settings = recipe.optimizer
    if settings.schedule_by_epoch and step >= settings.warmup_steps:
        epoch = epoch_of(step, total, settings.epochs)
        step = max(settings.warmup_steps, -(-epoch * total // settings.epochs))  # the first step of the epoch
    return learning_rate_factor(settings.schedule, step, total, settings.warmup_steps)


def batch_source(training: JointTraining, recipe: FineTuningRecipe) -> Iterator[JointBatch]:
    """Mixed batches on the device, for ever, from the first step that is to be made."""
    accelerator, tasks, data = training.accelerator, training.tasks, recipe.data
    order = JointOrder(
        tuple(len(task.train) for task in tasks),
        training.rows,
        tuple(order_seed(recipe.run.seed, task.name) for task in tasks),
        accelerator.process_index,
        accelerator.num_processes,
    )
    views = JointViews(
        tuple(task.name for task in tasks),
        accelerator.device,
        data.image_mean,
        data.image_std,
        StrongAugmentation() if data.color_augmentation else None,
    )
    taken = training.first_step * recipe.optimizer.gradient_accumulation
    return joint_batches(joint_dataset(recipe, tasks), order, views, taken, data.num_workers)


def joint_dataset(recipe: FineTuningRecipe, tasks: Sequence[TaskData]) -> JointDataset:
    """The weak views of all datasets."""
    data, seed = recipe.data, recipe.run.seed
    view = WeakView(data.crop_size, tuple(data.scale_range), rotation_probability=data.rotation_probability)
    channels = len(data.image_mean)
    return JointDataset(
        tuple(
            ViewedDataset(task.train, SampleView(view, seed, task.name, len(task.labels), task.ignore_index, channels))
            for task in tasks
        )
    )


def validate_segmenter(
    training: JointTraining, recipe: FineTuningRecipe, task: TaskData, panel: Path
) -> dict[str, float]:
    """The values of one task: see `validate`."""
    model = TaskView(training.model, task.name)
    return validate(model, task.validation, validation_settings(recipe, task), training.accelerator, panel)


def validation_settings(recipe: FineTuningRecipe, task: TaskData) -> ValidationSettings:
    """How a task is validated. Nothing is pseudo-labelled here; the threshold is that of S4 pre-training."""
    return ValidationSettings(
        task.labels,
        task.ignore_index,
        task.mean_excludes,
        0.95,
        recipe.data.image_mean,
        recipe.data.image_std,
        task.palette,
        recipe.run.panel_images,
    )


def make_throughput(
    model: torch.nn.Module, recipe: FineTuningRecipe, rows: Sequence[Fraction], task: str, accelerator: Accelerator
) -> Throughput:
    """Throughput with FLOPs where the device's peak is known."""
    per_process = float(sum(rows)) * recipe.optimizer.gradient_accumulation
    peak = peak_flops(accelerator.device)
    if peak is None:
        return Throughput(per_process * accelerator.num_processes)
    forward = forward_flops(TaskView(model, task), recipe.data.crop_size, len(recipe.data.image_mean))
    return Throughput(per_process * accelerator.num_processes, step_flops(forward, 1, 0, 0) * per_process, peak)


def describe_selection(recipe: FineTuningRecipe, tasks: Sequence[TaskData]) -> dict[str, object]:
    """How weights are selected, and on which images."""
    return {
        "selection": recipe.run.selection,
        "in_words": SELECTION_IN_WORDS[recipe.run.selection],
        "validation": {task.name: task.validation_source for task in tasks},
    }


def save_selection(output_dir: Path, selection: dict[str, object]) -> None:
    """Write `selection.json` and say the same."""
    with atomic_file(output_dir / "selection.json") as temporary:
        temporary.write_text(json.dumps(selection, indent=2), encoding="utf-8")
    sources = "; ".join(f"{task}: {source}" for task, source in selection["validation"].items())
    tqdm.write(f"validation images of {sources}\nselection {selection['selection']}: {selection['in_words']}")


SEGMENTATION = JointKind(
    folder=SEGMENTER,
    score="miou",
    score_in_words="mIoU",
    load_task=load_task,
    check_tasks=check_tasks,
    make_model=make_segmenter,
    saved_form=without_adapters,
    make_step=joint_step,
    make_throughput=make_throughput,
    batches=batch_source,
    rate_factor=rate_factor,
    validate=validate_segmenter,
)

__all__ = [
    "SEGMENTATION",
    "JointKind",
    "JointTraining",
    "batch_source",
    "epoch_of",
    "rate_factor",
    "set_up_fine_tuning",
    "set_up_joint_training",
    "validation_settings",
]
