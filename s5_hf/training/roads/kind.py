"""Training of SAM-Road++ (arXiv 2411.16733): maps of keypoints and roads, and connections of pairs of points."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset

from ...dataset_builders.registry import get_entry
from ...imaging.decoded_pixels import image_pixels
from ...modeling import SamRoadForRoadGraph, SamRoadProcessor
from ...roads.sampling import PairSettings
from ...semi_supervised import MethodOutput
from ...semi_supervised.accumulation import mean_counts
from ...semi_supervised.losses import mean_over_processes
from ..batches import Row, SampleOrder, ViewedDatasets, load_in_order
from ..image_input import band_options
from ..kind import Training
from ..schedules import milestone_factor
from ..selection import SelectingTraining, require_honest
from ..throughput import Throughput
from ..views.strong import normalize, to_unit_range
from .model import road_model
from .recipe import RoadRecipe
from .validation import RoadValidation, choose_thresholds, validate_roads
from .view import RoadView, collate

TOPOLOGY = "topology"


@dataclass(frozen=True)
class RoadData:
    """What a run learns from.

    Attributes:
        train: indexed samples with `image`, `nodes` `(n, 2)`, x and y in pixels, and `edges` `(m, 2)`.
        validation: such samples; `None` for no validation.
    """

    train: Sequence[Any]
    validation: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if len(self.train) == 0:
            raise ValueError("the road graphs to learn from are empty: there are no images")


@dataclass(frozen=True)
class RoadBatch:
    """Crops on the device, as [`SamRoadForRoadGraph`] takes them.

    Attributes:
        inputs: its tensors by name.
        count: by which the sum of the errors of pairs is divided; `None` for the valid pairs of this batch over all
            processes.
    """

    inputs: dict[str, torch.Tensor]
    count: torch.Tensor | None = None


class RoadTraining(SelectingTraining[RoadRecipe]):
    """Training of a road network.

    Args:
        recipe: of the run.
        data: in place of what the recipe names.
    """

    project = "roads"
    model_folder = "road_model"
    headline = "road graphs"
    score = "apls"
    shown = ("loss", "mask_loss", "topology_loss", "images_per_second")

    def __init__(self, recipe: RoadRecipe, data: RoadData | None = None) -> None:
        super().__init__(recipe)
        self.data = data

    @property
    def needs_whole_weights(self) -> str:
        """Validation calls parts of the network by themselves."""
        return "a road network"

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the images and graphs; with them follows the number of steps.

        Raises:
            ValueError: if the dataset has no road graphs, or there is nothing honest to choose weights on.
        """
        recipe = self.recipe
        if self.data is None:
            self.data = self.named_data()
        self.require_selection(self.data.validation)
        self.validates = self.data.validation is not None
        self.total_steps = recipe.optimizer.total_steps or recipe.optimizer.epochs * self.steps_per_epoch(processes)
        return {"train": self.data.train, "validation": self.data.validation}

    def named_data(self) -> RoadData:
        """The data that the recipe names."""
        settings = self.recipe.data
        entry = get_entry(settings.dataset)
        if entry.task != "road graph":
            raise ValueError(f"{entry.name} is for {entry.task}; a road network learns from road graphs")
        if self.selects:
            require_honest(entry, settings.validation_split)
        options = band_options(settings, entry)
        train, validation = (
            None if split == "none" else load_dataset(entry.name, data_dir=settings.data_dir, split=split, **options)
            for split in (settings.train_split, settings.validation_split)
        )
        if validation is not None and settings.validation_count is not None:
            validation = validation.select(range(min(len(validation), settings.validation_count)))
        return RoadData(train, validation)

    def steps_per_epoch(self, processes: int) -> int:
        """Steps whose crops would cover the images, all of the size of the first one."""
        settings = self.recipe.optimizer
        height, width = image_pixels(self.data.train[0]["image"], self.recipe.data.value_scaling).shape[:2]
        crops = len(self.data.train) * max(1.0, height * width / self.recipe.data.crop_size**2)
        return math.ceil(crops / (settings.batch_size * settings.gradient_accumulation * processes))

    def learned_from(self) -> Sequence[Any]:
        """The training images."""
        return (self.data.train,)

    def make_model(self) -> SamRoadForRoadGraph:
        """The network at step 0."""
        return road_model(self.recipe.model, self.recipe.data)

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Crops per second."""
        settings = self.recipe.optimizer
        return Throughput(settings.batch_size * settings.gradient_accumulation * processes)

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0; the schedule `step` falls at the milestones."""
        settings = self.recipe.optimizer
        if settings.schedule != "step":
            return super().learning_rate_factor(step)
        epoch = step * settings.epochs // self.total_steps
        return milestone_factor(epoch, settings.milestones, settings.milestone_factor)

    def view(self) -> RoadView:
        """What makes the rows."""
        data = self.recipe.data
        pairs = PairSettings(data.sources, data.max_neighbors, data.neighbor_radius, data.spacing)
        return RoadView(
            data.crop_size,
            pairs,
            self.recipe.run.seed,
            tuple(data.scale_range),
            data.quarter_turns,
            len(data.image_mean),
            data.value_scaling,
        )

    def batches(self, training: Training, taken: int) -> Iterator[RoadBatch]:
        """Batches from number `taken` on, for ever, on the device."""
        data, run, accelerator = self.recipe.data, self.recipe.run, training.accelerator
        order = SampleOrder(
            (len(self.data.train),),
            (self.recipe.optimizer.batch_size,),
            (run.seed,),
            accelerator.process_index,
            accelerator.num_processes,
        )

        def to_device(rows: Row) -> RoadBatch:
            moved = {name: value.to(accelerator.device, non_blocking=True) for name, value in rows.items()}
            images = to_unit_range(moved.pop("image"))
            moved.pop("task")
            return RoadBatch({"pixel_values": normalize(images, data.image_mean, data.image_std), **moved})

        datasets = ViewedDatasets((self.data.train,), (self.view(),))
        return map(to_device, load_in_order(datasets, order, taken, data.num_workers, collate))

    def counted_together(self, batches: list[RoadBatch]) -> list[RoadBatch]:
        """The batches of the micro-steps of one step, whose errors of pairs are divided by the pairs of all."""
        if len(batches) == 1:
            return batches
        counts = mean_counts([{TOPOLOGY: batch.inputs["valid"].sum().float()} for batch in batches])
        return [dataclasses.replace(batch, count=counts[TOPOLOGY]) for batch in batches]

    def step(self, model: torch.nn.Module, batch: RoadBatch, step: int) -> MethodOutput:
        """The sum of the losses of maps and of connections."""

        def reduce_count(count: torch.Tensor) -> torch.Tensor:
            return mean_over_processes(count.float()) if batch.count is None else batch.count

        output = model(**batch.inputs, reduce_count=reduce_count)
        parts = {"mask_loss": output.mask_loss.detach(), "topology_loss": output.topology_loss.detach()}
        return MethodOutput(output.loss, parts)

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """Choose the thresholds on training images, score on the validation images, keep the best weights.

        Returns:
            As `validate_roads`.
        """
        data, run = self.recipe.data, self.recipe.run
        settings = RoadValidation(self.view(), data.image_mean, data.image_std, run.panel_images)
        panel = Path(run.output_dir) / "panels" / f"roads-step-{step:08d}.png"
        model = training.accelerator.unwrap_model(training.model)
        if run.threshold_images:
            first = [self.data.train[index] for index in range(min(run.threshold_images, len(self.data.train)))]
            chosen = choose_thresholds(model, first, settings, training.accelerator)
            for name, value in chosen.items():
                setattr(model.config, name, value)
        scores = validate_roads(model, self.data.validation, settings, training.accelerator, panel)
        self.keep_best(training, step, scores)
        return scores

    @property
    def processor(self) -> SamRoadProcessor:
        """The processor that goes with the network."""
        return SamRoadProcessor.from_dict(super().processor.to_dict())
