"""Everything a detection run needs beside what it shares with every joint training."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import torch
from accelerate import Accelerator

from ..batches import ViewedDataset
from ..checkpointing.checkpoints import DETECTOR
from ..joint.batches import JointDataset, JointOrder, order_seed
from ..joint.model import TaskView
from ..joint.setup import JointKind, JointTraining, epoch_of, set_up_joint_training
from ..joint.step import TaskLoss
from ..schedules import learning_rate_factor, linear_warmup, milestone_factor
from ..throughput import Throughput
from ..views.oriented import OrientedSampleView, OrientedView
from .batches import DetectionBatch, DetectionStep, DetectionViews, detection_batches
from .data import DetectionTaskData, load_detection_task
from .model import joint_detector
from .recipe import DetectionRecipe
from .validation import DetectionValidation, validate_detector


def set_up_detection(recipe: DetectionRecipe, data: Sequence[DetectionTaskData] | None = None) -> JointTraining:
    """Load data, make or load the detector, prepare everything for the device, and take up a checkpoint.

    Args:
        recipe: of the run.
        data: in place of what the recipe names, in the same order.

    Raises:
        ValueError: for settings, data and networks that do not fit together.
        CheckpointError: if a run cannot be resumed.
    """
    return set_up_joint_training(recipe, DETECTION, data)


def check_tasks(recipe: DetectionRecipe, tasks: Sequence[DetectionTaskData]) -> None:
    """Raise a ValueError unless tasks and settings of the datasets belong together."""
    names = [task.name for task in tasks]
    if names != [settings.name for settings in recipe.datasets]:
        raise ValueError(f"the data has the tasks {', '.join(names)}, the recipe {', '.join(recipe.data.datasets)}")


def make_detector(recipe: DetectionRecipe, tasks: Sequence[DetectionTaskData]) -> torch.nn.Module:
    """The detector at step 0."""
    return joint_detector(recipe.model, tasks, recipe.data.image_size, len(recipe.data.image_mean))


def detection_step(recipe: DetectionRecipe, device: torch.device) -> DetectionStep:
    """The step of a recipe."""
    return DetectionStep(
        {settings.name: TaskLoss(settings.loss_weight, settings.loss_from_epoch) for settings in recipe.datasets}
    )


def image_throughput(
    model: torch.nn.Module, recipe: DetectionRecipe, rows: Sequence[Fraction], task: str, accelerator: Accelerator
) -> Throughput:
    """Images per second; the FLOPs of a detector depend on what it proposes and are not counted."""
    per_process = float(sum(rows)) * recipe.optimizer.gradient_accumulation
    return Throughput(per_process * accelerator.num_processes)


def rate_factor(recipe: DetectionRecipe, step: int, total: int) -> float:
    """Factor of the learning rate at a step counted from 0.

    With the schedule `step` it falls at the milestones, and the warm-up multiplies it, as in mmdetection. The other
    schedules are those of every training.
    """
    settings = recipe.optimizer
    if settings.schedule != "step":
        return learning_rate_factor(settings.schedule, step, total, settings.warmup_steps)
    epoch = epoch_of(step, total, settings.epochs)
    warmup = linear_warmup(step, settings.warmup_steps, settings.warmup_start)
    return warmup * milestone_factor(epoch, settings.milestones, settings.milestone_factor)


def batch_source(training: JointTraining, recipe: DetectionRecipe) -> Iterator[DetectionBatch]:
    """Mixed batches on the device, for ever, from the first step that is to be made."""
    accelerator, tasks, data = training.accelerator, training.tasks, recipe.data
    order = JointOrder(
        tuple(len(task.train) for task in tasks),
        training.rows,
        tuple(order_seed(recipe.run.seed, task.name) for task in tasks),
        accelerator.process_index,
        accelerator.num_processes,
    )
    views = DetectionViews(tuple(task.name for task in tasks), accelerator.device, data.image_mean, data.image_std)
    taken = training.first_step * recipe.optimizer.gradient_accumulation
    return detection_batches(oriented_dataset(recipe, tasks), order, views, taken, data.num_workers)


def oriented_dataset(recipe: DetectionRecipe, tasks: Sequence[DetectionTaskData]) -> JointDataset:
    """The views of all datasets."""
    seed, channels = recipe.run.seed, len(recipe.data.image_mean)
    return JointDataset(
        tuple(
            ViewedDataset(
                task.train,
                OrientedSampleView(
                    oriented_view(recipe, task.name),
                    seed,
                    task.name,
                    task.labels,
                    channels,
                    settings.least_side,
                    settings.least_hull_side,
                ),
            )
            for task, settings in zip(tasks, recipe.datasets, strict=True)
        )
    )


def oriented_view(recipe: DetectionRecipe, task: str) -> OrientedView:
    """How a recipe views the images of a task; what lies beyond them has the mean colour."""
    data = recipe.data
    return OrientedView(
        size=data.image_size,
        image_scale=recipe.image_scale_of(task),
        scale_range=tuple(data.scale_range),
        object_crop_probability=data.object_crop_probability,
        flip_probability=data.flip_probability,
        quarter_turn_probability=data.quarter_turn_probability,
        rotation_probability=data.rotation_probability,
        rotation_degrees=data.rotation_degrees,
        least_visible_share=data.least_visible_share,
        fill=tuple(round(255 * mean) for mean in data.image_mean),
    )


def validate_task(
    training: JointTraining, recipe: DetectionRecipe, task: DetectionTaskData, panel: Path
) -> dict[str, float]:
    """The values of one task: see `validate_detector`."""
    data = recipe.data
    settings = DetectionValidation(
        data.image_size,
        recipe.image_scale_of(task.name),
        data.image_mean,
        data.image_std,
        recipe.run.panel_images,
    )
    model = training.accelerator.unwrap_model(training.model)
    return validate_detector(TaskView(model, task.name), task, settings, training.accelerator, panel)


DETECTION = JointKind(
    folder=DETECTOR,
    score="map50",
    score_in_words="mAP50",
    load_task=load_detection_task,
    check_tasks=check_tasks,
    make_model=make_detector,
    saved_form=lambda recipe: None,
    make_step=detection_step,
    make_throughput=image_throughput,
    batches=batch_source,
    rate_factor=rate_factor,
    validate=validate_task,
)

__all__ = ["DETECTION", "batch_source", "oriented_view", "rate_factor", "set_up_detection"]
