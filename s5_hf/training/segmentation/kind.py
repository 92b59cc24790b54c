"""Joint training of a segmenter for one or many datasets."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch

from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ..joint.kind import JointTraining, epoch_of
from ..joint.model import TaskView
from ..joint.step import JointBatch, TaskLoss
from ..kind import Training
from ..low_rank import add_adapters
from ..peaks import peak_flops
from ..throughput import Throughput, segmenter_flops
from ..validation import ValidationSettings, validate
from ..views.sample_reader import ONE_IMAGE, SampleReader
from ..views.strong import color_positions
from ..views.strong_draws import StrongAugmentation, StrongDraws
from ..views.weak import SampleView, WeakView
from .model import joint_model
from .recipe import SegmentationDatasetSettings
from .step import SegmentationStep, SegmentationViews
from .task_data import TaskData, load_task, require_class_weights


class JointSegmentation(JointTraining):
    """One segmenter, many datasets.

    Attributes:
        model_class: of the network.
    """

    project = "finetuning"
    model_folder = "segmenter"
    model_class: ClassVar[type[S5ForSemanticSegmentation]] = S5ForSemanticSegmentation
    score, score_in_words = "miou", "mIoU"
    step_type = SegmentationStep

    def load_task(self, settings: SegmentationDatasetSettings) -> TaskData:
        """The data of one dataset of the recipe."""
        return load_task(settings, self.recipe.run.selection, self.recipe.data)

    def check_tasks(self) -> None:
        """Raise a ValueError unless tasks and settings of the datasets belong together."""
        super().check_tasks()
        for task, settings in zip(self.tasks, self.recipe.datasets, strict=True):
            require_class_weights(settings, task.labels)

    def make_model(self) -> torch.nn.Module:
        """The segmenter at step 0, with adapters if the recipe has some."""
        settings, data = self.recipe.model, self.recipe.data
        channels = len(data.image_mean)
        model = joint_model(settings, self.tasks, data.crop_size, channels, self.model_class, self.heads())
        add_adapters(model, settings)
        return model

    def heads(self) -> dict[str, Any]:
        """What the configuration of the network holds of each task besides its classes, by task."""
        return {}

    def reader(self, task: TaskData) -> SampleReader:
        """What reads the columns of a sample."""
        return ONE_IMAGE

    def more_scores(self, task: TaskData, counts: torch.Tensor) -> dict[str, float]:
        """Values of a validation besides those of every segmenter, from its counts."""
        return {}

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Throughput with FLOPs where the device's peak is known."""
        per_process = self.images_per_process()
        peak = peak_flops(next(model.parameters()).device)
        if peak is None:
            return Throughput(per_process * processes)
        flops = segmenter_flops(TaskView(model, self.tasks[0].name), self.image_shape()[1:])
        return Throughput(per_process * processes, flops.of_step(per_process), peak)

    def sample_view(self, task: TaskData, settings: SegmentationDatasetSettings) -> SampleView:
        """The weak view of a task, and the colours of its images."""
        data, seed = self.recipe.data, self.recipe.run.seed
        view = WeakView(data.crop_size, tuple(data.scale_range), rotation_probability=data.rotation_probability)
        return SampleView(
            view,
            seed,
            task.name,
            len(task.labels),
            task.ignore_index,
            len(data.image_mean),
            scaling=data.value_scaling,
            reader=self.reader(task),
            strong=StrongDraws(StrongAugmentation()) if data.color_augmentation else None,
        )

    def views(self, device: torch.device) -> SegmentationViews:
        """What moves batches to the device, changes their colours there and normalises."""
        data = self.recipe.data
        names = tuple(task.name for task in self.tasks)
        colors = color_positions(data.bands, len(data.image_mean))
        return SegmentationViews(names, device, data.image_mean, data.image_std, colors)

    def counted_together(self, batches: list[JointBatch]) -> list[JointBatch]:
        """The batches of the micro-steps of one step, whose losses are divided by the pixels of all."""
        return self.joint_step.counted_together(batches)

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0; `schedule_by_epoch` changes it between epochs only."""
        settings, total = self.recipe.optimizer, self.total_steps
        if settings.schedule_by_epoch and step >= settings.warmup_steps:
            epoch = epoch_of(step, total, settings.epochs)
            step = max(settings.warmup_steps, -(-epoch * total // settings.epochs))  # the first step of the epoch
        return super().learning_rate_factor(step)

    def task_loss(self, settings: SegmentationDatasetSettings, device: torch.device) -> TaskLoss:
        """The same with the weights of the classes."""
        weights = torch.tensor(settings.class_weights, device=device) if settings.class_weights else None
        return dataclasses.replace(super().task_loss(settings, device), class_weights=weights)

    def validate_task(self, training: Training, task: TaskData, panel: Path) -> dict[str, float]:
        """The values of one task. Nothing is pseudo-labelled here; the threshold is that of S4 pre-training."""
        settings = ValidationSettings(
            task.labels,
            task.ignore_index,
            task.mean_excludes,
            0.95,
            self.recipe.data.image_mean,
            self.recipe.data.image_std,
            task.palette,
            self.recipe.run.panel_images,
            self.recipe.data.value_scaling,
            color_positions(self.recipe.data.bands, len(self.recipe.data.image_mean)),
            self.reader(task),
            partial(self.more_scores, task),
        )
        model = TaskView(training.accelerator.unwrap_model(self.validated(training)), task.name)
        return validate(model, task.validation, settings, training.accelerator, panel)
