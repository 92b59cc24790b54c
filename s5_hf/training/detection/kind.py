"""Joint training of an oriented detector for one or many datasets."""

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ...files.atomic import write_text
from ...semi_supervised import DetectionMethod, MethodOutput
from ..batches import SampleOrder, ViewedDatasets, load_in_order
from ..joint.batches import order_seed
from ..joint.kind import JointTraining
from ..joint.model import TaskView
from ..kind import Training
from ..low_rank import add_adapters
from ..peaks import peak_flops
from ..pretraining.data import sample_ids
from ..pretraining.health_report import WARNINGS, read_warnings, write_warnings
from ..schedules import linear_warmup, milestone_factor
from ..throughput import Throughput, detector_flops
from ..views.oriented import OrientedSampleView, OrientedView
from ..views.strong import color_positions
from .batches import DetectionBatch, DetectionStep, DetectionViews, collate
from .data import DetectionTaskData, load_detection_task
from .model import joint_detector
from .pseudo_box_health import PseudoBoxHealth
from .recipe import DetectionDatasetSettings, DetectionRecipe
from .unlabelled import UnlabelledSampleView, UnlabelledViews, joined, stream_of
from .validation import DetectionValidation, validate_detector


class JointDetection(JointTraining):
    """One oriented detector, many datasets.

    Attributes:
        method: learns from unlabelled images too; `None` where the recipe has none.
    """

    project = "detection"
    model_folder = "detector"
    score, score_in_words = "map50", "mAP50"
    collate = staticmethod(collate)
    step_type = DetectionStep

    def __init__(self, recipe: DetectionRecipe, tasks: Any | None = None) -> None:
        super().__init__(recipe, tasks)
        self.method: DetectionMethod | None = recipe.method.make()

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the datasets.

        Raises:
            ValueError: if there is a method and no dataset has unlabelled images.
        """
        datasets = super().load_data(processes)
        if self.method is None:
            return datasets
        if not self.with_unlabelled:
            raise ValueError(f"{self.method.name} needs unlabelled images, the data has none")
        return {**datasets, **{stream_of(task.name): task.unlabelled for task in self.with_unlabelled}}

    def load_task(self, settings: DetectionDatasetSettings) -> DetectionTaskData:
        """The data of one dataset of the recipe."""
        run = self.recipe.run
        return load_detection_task(settings, run.selection, self.recipe.data, run.seed, self.method is not None)

    @property
    def with_unlabelled(self) -> list[DetectionTaskData]:
        """The tasks with unlabelled images; none without a method."""
        return [] if self.method is None else [task for task in self.tasks if task.unlabelled is not None]

    def learned_from(self) -> list[Any]:
        """The labelled and the unlabelled images."""
        return [*super().learned_from(), *(task.unlabelled for task in self.with_unlabelled)]

    def make_model(self) -> torch.nn.Module:
        """The detector at step 0, with adapters if the recipe has some."""
        settings, data = self.recipe.model, self.recipe.data
        model = joint_detector(settings, self.tasks, data.image_size, len(data.image_mean))
        add_adapters(model, settings)
        return model

    def attach(self, model: torch.nn.Module) -> list[Any]:
        """Make the step, the average of the weights and the teacher."""
        followers = super().attach(model)
        if self.method is None:
            return followers
        self.method.attach(model)
        return [*followers, self.method]

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Let the average and the teacher follow."""
        super().after_step(model, step)
        if self.method is not None:
            self.method.after_step(model, step)

    @property
    def followers(self) -> dict[str, PreTrainedModel]:
        """The networks with averaged weights."""
        teacher = None if self.method is None else self.method.teacher_model
        return super().followers | ({} if teacher is None else {"teacher": teacher})

    def start(self, training: Training) -> None:
        """Also write labelled.json: of every dataset the labelled images by name, where only some are used."""
        super().start(training)
        folder = Path(self.recipe.run.output_dir)
        if not training.accelerator.is_main_process:
            return
        if self.recipe.run.resume is None:
            (folder / WARNINGS).unlink(missing_ok=True)  # of another run, which left no checkpoint
        self.health.warned = read_warnings(folder)
        chosen = {
            settings.name: {
                "list": settings.labelled_list,
                "seed": self.recipe.run.seed,
                "count": len(task.train),
                "ids": sample_ids(task.train),
            }
            for settings, task in zip(self.recipe.datasets, self.tasks, strict=True)
            if settings.labelled_count is not None or settings.labelled_list is not None
        }
        if chosen:
            write_text(folder / "labelled.json", json.dumps(chosen, indent=1))

    @property
    def supervised_steps(self) -> int:
        """Steps of the supervised phase."""
        return self.recipe.method.unlabelled_from_step

    def batches(self, training: Training, taken: int) -> Iterator[DetectionBatch]:
        """Mixed batches on the device from number `taken` on, for ever.

        After the supervised phase they have unlabelled images, whose order begins there.
        """
        labelled = super().batches(training, taken)
        if self.method is None:
            return labelled
        accelerator, recipe, tasks = training.accelerator, self.recipe, self.with_unlabelled
        supervised = self.supervised_steps * recipe.optimizer.gradient_accumulation
        order = SampleOrder(
            tuple(len(task.unlabelled) for task in tasks),
            (Fraction(recipe.data.unlabelled_batch_size),) * len(tasks),
            tuple(order_seed(recipe.run.seed, stream_of(task.name)) for task in tasks),
            accelerator.process_index,
            accelerator.num_processes,
        )
        rows = load_in_order(self.unlabelled_dataset(), order, max(0, taken - supervised), recipe.data.num_workers)
        colors = color_positions(recipe.data.bands, len(recipe.data.image_mean))
        views = UnlabelledViews(self.views(accelerator.device), [task.name for task in tasks], colors)
        return joined(labelled, map(views, rows), max(0, supervised - taken))

    def unlabelled_dataset(self) -> ViewedDatasets:
        """The views of the unlabelled images of all datasets that have some."""
        own = {settings.name: settings for settings in self.recipe.datasets}
        views = (UnlabelledSampleView(self.sample_view(task, own[task.name])) for task in self.with_unlabelled)
        return ViewedDatasets(tuple(task.unlabelled for task in self.with_unlabelled), tuple(views))

    def step(self, model: torch.nn.Module, batch: DetectionBatch, step: int) -> MethodOutput:
        """The loss of the method; in the supervised phase, and without a method, that of the labelled images."""
        if batch.unlabelled is None:
            return super().step(model, batch, step)
        epoch = self.epoch_of(step)
        weights = {name: loss.weight_at(epoch) for name, loss in self.joint_step.losses.items()}
        return self.method(model, batch, batch.unlabelled, step, weights)

    @cached_property
    def health(self) -> PseudoBoxHealth:
        """Warns of sick pseudo-boxes."""
        labels = [label for task in self.tasks for label in task.labels]
        threshold = self.recipe.method.confidence_threshold
        return PseudoBoxHealth(labels, threshold, self.total_steps - self.supervised_steps)

    def observe(
        self, training: Training, step: int, values: Mapping[str, float], class_shares: list[float]
    ) -> dict[str, float]:
        """Watch the pseudo-boxes; returns the epoch, and their mean score, mean agreement and classes."""
        observed = super().observe(training, step, values, class_shares)
        if "pseudo_boxes" not in values:
            return observed
        boxes = values["pseudo_boxes"]
        if training.accelerator.is_main_process and self.health.see(
            step, boxes, class_shares, values["highest_score"]
        ):
            write_warnings(Path(self.recipe.run.output_dir), self.health.warned)
        if boxes:
            observed |= {name: values[f"{name}_sum"] / boxes for name in ("pseudo_score", "pseudo_agreement")}
        pairs = zip(self.health.labels, class_shares, strict=True)
        return observed | {f"pseudo_box_share/{label}": share for label, share in pairs}

    def observations(self) -> dict[str, Any]:
        """What the health of the pseudo-boxes is judged by."""
        return {} if self.method is None else {"health": self.health.state()}

    def load_observations(self, found: Mapping[str, Any]) -> None:
        """Judge it by the same as before the stop."""
        if "health" in found:
            self.health.load_state(found["health"])

    def images_per_process(self) -> float:
        """Images of an optimizer step on one process, after the supervised phase."""
        return super().images_per_process() + self.unlabelled_per_process

    @property
    def unlabelled_per_process(self) -> int:
        """Unlabelled images of an optimizer step on one process."""
        each = self.recipe.data.unlabelled_batch_size * self.recipe.optimizer.gradient_accumulation
        return each * len(self.with_unlabelled)

    def image_shape(self) -> torch.Size:
        """Shape of a batch that the network takes."""
        data = self.recipe.data
        return torch.Size((1, len(data.image_mean), data.image_size, data.image_size))

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Throughput with FLOPs where the device's peak is known."""
        per_process, data = self.images_per_process(), self.recipe.data
        views = 2 * self.unlabelled_per_process  # which the teacher sees
        peak = peak_flops(next(model.parameters()).device)
        if peak is None:
            return Throughput(per_process * processes)
        flops = detector_flops(model, self.tasks[0].name, data.image_size, len(data.image_mean))
        return Throughput(per_process * processes, flops.of_step(per_process, views), peak)

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
