"""Joint training of an oriented detector for one or many datasets."""

from pathlib import Path

import torch

from ..joint.kind import JointTraining
from ..joint.model import TaskView
from ..kind import Training
from ..low_rank import add_adapters
from ..peaks import peak_flops
from ..schedules import linear_warmup, milestone_factor
from ..throughput import Throughput, detector_flops
from ..views.oriented import OrientedSampleView, OrientedView
from ..views.strong import color_positions
from .batches import DetectionStep, DetectionViews, collate
from .data import DetectionTaskData, load_detection_task
from .model import joint_detector
from .recipe import DetectionDatasetSettings
from .validation import DetectionValidation, validate_detector


class JointDetection(JointTraining):
    """One oriented detector, many datasets."""

    project = "detection"
    model_folder = "detector"
    score, score_in_words = "map50", "mAP50"
    collate = staticmethod(collate)
    step_type = DetectionStep

    def load_task(self, settings: DetectionDatasetSettings) -> DetectionTaskData:
        """The data of one dataset of the recipe."""
        return load_detection_task(settings, self.recipe.run.selection, self.recipe.data)

    def make_model(self) -> torch.nn.Module:
        """The detector at step 0, with adapters if the recipe has some."""
        settings, data = self.recipe.model, self.recipe.data
        model = joint_detector(settings, self.tasks, data.image_size, len(data.image_mean))
        add_adapters(model, settings)
        return model

    def image_shape(self) -> torch.Size:
        """Shape of a batch that the network takes."""
        data = self.recipe.data
        return torch.Size((1, len(data.image_mean), data.image_size, data.image_size))

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Throughput with FLOPs where the device's peak is known."""
        per_process, data = self.images_per_process(), self.recipe.data
        peak = peak_flops(next(model.parameters()).device)
        if peak is None:
            return Throughput(per_process * processes)
        flops = detector_flops(model, self.tasks[0].name, data.image_size, len(data.image_mean))
        return Throughput(per_process * processes, flops.of_step(per_process), peak)

    def sample_view(self, task: DetectionTaskData, settings: DetectionDatasetSettings) -> OrientedSampleView:
        """The view of a task."""
        return OrientedSampleView(
            self.oriented_view(task.name),
            self.recipe.run.seed,
            task.name,
            task.labels,
            len(self.recipe.data.image_mean),
            settings.least_side,
            settings.least_hull_side,
            self.recipe.data.value_scaling,
        )

    def oriented_view(self, task: str) -> OrientedView:
        """How the images of a task are viewed; what lies beyond them has the mean colour."""
        data = self.recipe.data
        return OrientedView(
            size=data.image_size,
            image_scale=self.recipe.image_scale_of(task),
            scale_range=tuple(data.scale_range),
            object_crop_probability=data.object_crop_probability,
            flip_probability=data.flip_probability,
            quarter_turn_probability=data.quarter_turn_probability,
            rotation_probability=data.rotation_probability,
            rotation_degrees=data.rotation_degrees,
            least_visible_share=data.least_visible_share,
            fill=tuple(round(255 * mean) for mean in data.image_mean),
        )

    def views(self, device: torch.device) -> DetectionViews:
        """What moves batches to the device and normalises."""
        data = self.recipe.data
        return DetectionViews(tuple(task.name for task in self.tasks), device, data.image_mean, data.image_std)

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0.

        With the schedule `step` it falls at the milestones, and the warm-up multiplies it, as in mmdetection. The
        other schedules are those of every training.
        """
        settings = self.recipe.optimizer
        if settings.schedule != "step":
            return super().learning_rate_factor(step)
        warmup = linear_warmup(step, settings.warmup_steps, settings.warmup_start)
        return warmup * milestone_factor(self.epoch_of(step), settings.milestones, settings.milestone_factor)

    def validate_task(self, training: Training, task: DetectionTaskData, panel: Path) -> dict[str, float]:
        """The values of one task: see [`validate_detector`]."""
        data = self.recipe.data
        settings = DetectionValidation(
            data.image_size,
            self.recipe.image_scale_of(task.name),
            data.image_mean,
            data.image_std,
            self.recipe.run.panel_images,
            data.value_scaling,
            color_positions(data.bands, len(data.image_mean)),
        )
        model = TaskView(training.accelerator.unwrap_model(self.validated(training)), task.name)
        return validate_detector(model, task, settings, training.accelerator, panel)
