"""What joint training of segmentation and of detection have in common: one model, many datasets, the sum of losses.

Source: S5 (arXiv 2508.12409), "Multi-Dataset Fine-tuning".
"""

import json
import statistics
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from ...files.atomic import atomic_file
from ...semi_supervised import MethodOutput, WeightAverage
from ..batches import Row, SampleOrder, ViewedDatasets, load_in_order, stack_rows
from ..kind import StateDict, Training, TrainingKind
from ..low_rank import merged_adapters
from .batches import order_seed, rows_per_batch, steps_per_epoch
from .best_models import MEAN, BestModels
from .recipe import DatasetSettings, JointRecipe
from .step import JointStep, JointViews, TaskLoss

SELECTION_IN_WORDS = {
    "validation": "the best weights are chosen on the validation images",
    "last": "no weights are chosen: the last ones are the result",
    "official_test_split": "the best weights are chosen ON THE IMAGES WHOSE RESULTS ARE REPORTED, as the official "
    "code does: their scores are too good to be compared with honest ones",
}


class Task(Protocol):
    """What both kinds of training know of a task."""

    name: str
    labels: tuple[str, ...]
    train: Sequence[Any]
    validation: Sequence[Any] | None
    validation_source: str


class JointTraining(TrainingKind[JointRecipe]):
    """One model, many datasets.

    Args:
        recipe: of the run.
        tasks: in place of what the recipe names, in the same order.

    Attributes:
        score: name of the value that makes weights the best, and `score_in_words`.
        step_type: class of the step.
        collate: makes a batch of its rows.
        tasks: the datasets, in the order of the experts.
        rows: images of each dataset per batch and process.
        joint_step: turns (model, mixed batch, epoch) into a loss.
        best: keeps the best weights.
        average: of the weights, `None` where the recipe has none.
    """

    score: ClassVar[str]
    score_in_words: ClassVar[str]
    step_type: ClassVar[type[JointStep]]
    collate: ClassVar[Callable[[Sequence[Row]], Any]] = staticmethod(stack_rows)
    validates = True
    rows: tuple[Fraction, ...]
    joint_step: JointStep
    best: BestModels
    average: WeightAverage | None = None

    def __init__(self, recipe: JointRecipe, tasks: Sequence[Any] | None = None) -> None:
        super().__init__(recipe)
        self.tasks: tuple[Any, ...] | None = None if tasks is None else tuple(tasks)

    @abstractmethod
    def load_task(self, settings: Any) -> Task:
        """The data of one dataset of the recipe."""

    @abstractmethod
    def sample_view(self, task: Any, settings: Any) -> Callable[[Mapping[str, Any], int], Row]:
        """What makes the row of a sample of a task, in the workers."""

    @abstractmethod
    def views(self, device: torch.device) -> JointViews:
        """What makes a batch on the device of collated rows."""

    @abstractmethod
    def validate_task(self, training: Training, task: Any, panel: Path) -> dict[str, float]:
        """The values of one task, and a picture at the path `panel`."""

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the datasets; with them follow the images per batch and the number of steps."""
        recipe = self.recipe
        if self.tasks is None:
            self.tasks = tuple(self.load_task(settings) for settings in recipe.datasets)
        self.check_tasks()
        sizes = [len(task.train) for task in self.tasks]
        batch_sizes = [recipe.batch_size_of(settings) for settings in recipe.datasets]
        self.rows = rows_per_batch(sizes, batch_sizes, recipe.data.sampling, recipe.data.temperature)
        self.total_steps = recipe.optimizer.total_steps
        if self.total_steps is None:
            accumulation = recipe.optimizer.gradient_accumulation
            steps = steps_per_epoch(sizes, self.rows, recipe.data.sampling, processes, accumulation)
            self.total_steps = recipe.optimizer.epochs * steps
        training = {f"{task.name} train": task.train for task in self.tasks}
        return training | {f"{task.name} validation": task.validation for task in self.tasks}

    def class_names(self) -> Mapping[str, Sequence[str]]:
        """The classes of every dataset."""
        return {task.name: task.labels for task in self.tasks}

    def learned_from(self) -> Sequence[Any]:
        """The training images of all datasets."""
        return [task.train for task in self.tasks]

    def check_tasks(self) -> None:
        """Raise a ValueError unless tasks and settings of the datasets belong together."""
        names = [task.name for task in self.tasks]
        if names != [settings.name for settings in self.recipe.datasets]:
            listed = ", ".join(self.recipe.data.datasets)
            raise ValueError(f"the data has the tasks {', '.join(names)}, the recipe {listed}")

    def attach(self, model: torch.nn.Module) -> list[Any]:
        """Make the step, on the device of the network, and the average of the weights."""
        device = next(model.parameters()).device
        self.joint_step = self.step_type(
            {settings.name: self.task_loss(settings, device) for settings in self.recipe.datasets}
        )
        if self.recipe.optimizer.weight_average_decay is None:
            return []
        self.average = WeightAverage(model)
        return [self.average]

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Let the average follow."""
        if self.average is not None:
            self.average.update(model, min(self.recipe.optimizer.weight_average_decay, 1 - 1 / (step + 1)))

    @property
    def followers(self) -> dict[str, PreTrainedModel]:
        """The network with averaged weights."""
        return {} if self.average is None else {"average": self.average.model}

    def validated(self, training: Training) -> torch.nn.Module:
        """The network that is validated, as it was prepared: the average of the weights, else the trained one."""
        return training.model if self.average is None else self.average.model

    def task_loss(self, settings: DatasetSettings, device: torch.device) -> TaskLoss:
        """How the loss of a dataset counts."""
        return TaskLoss(settings.loss_weight, settings.loss_from_epoch)

    def start(self, training: Training) -> None:
        """Write selection.json, and find the best weights so far."""
        run = self.recipe.run
        output_dir = Path(run.output_dir)
        selection = {
            "selection": run.selection,
            "in_words": SELECTION_IN_WORDS[run.selection],
            "validation": {task.name: task.validation_source for task in self.tasks},
        }
        self.best = BestModels(output_dir / "best", self.processor, selection)
        if training.accelerator.is_main_process:
            with atomic_file(output_dir / "selection.json") as temporary:
                temporary.write_text(json.dumps(selection, indent=2), encoding="utf-8")
            sources = "; ".join(f"{task}: {source}" for task, source in selection["validation"].items())
            tqdm.write(f"validation images of {sources}\nselection {run.selection}: {selection['in_words']}")

    @property
    def headline(self) -> str:
        """Mode, and images of each dataset in a batch."""
        parts = (f"{float(rows):g} {task.name}" for rows, task in zip(self.rows, self.tasks, strict=True))
        return f"{self.recipe.model.mode}, images per batch {' + '.join(parts)}"

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the values beside the progress bar."""
        return ("loss", *(f"loss/{task.name}" for task in self.tasks), "images_per_second", "mfu")

    def batches(self, training: Training, taken: int) -> Iterator[Any]:
        """Mixed batches on the device from number `taken` on, for ever."""
        accelerator = training.accelerator
        order = SampleOrder(
            tuple(len(task.train) for task in self.tasks),
            self.rows,
            tuple(order_seed(self.recipe.run.seed, task.name) for task in self.tasks),
            accelerator.process_index,
            accelerator.num_processes,
        )
        rows = load_in_order(self.dataset(), order, taken, self.recipe.data.num_workers, self.collate)
        return map(self.views(accelerator.device), rows)

    def step(self, model: torch.nn.Module, batch: Any, step: int) -> MethodOutput:
        """The loss of a mixed batch."""
        return self.joint_step(model, batch, self.epoch_of(step))

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 0, of a step counted from 0."""
        return epoch_of(step, self.total_steps, self.recipe.optimizer.epochs)

    def observe(
        self, training: Training, step: int, values: Mapping[str, float], class_shares: list[float]
    ) -> dict[str, float]:
        """The epoch."""
        return {"epoch": self.epoch_of(step)}

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """Validate every task that has images for it, and keep the weights that are the best so far.

        Returns:
            `<task>/<score>` and so on, and the mean over the tasks, percent.
        """
        scores = {}
        for task in self.tasks:
            if task.validation is not None:
                panel = Path(self.recipe.run.output_dir) / "panels" / f"{task.name}-step-{step:08d}.png"
                values = self.validate_task(training, task, panel)
                scores |= {f"{task.name}/{name}": value for name, value in values.items()}
        ending = f"/{self.score}"
        of_tasks = {name.removesuffix(ending): value for name, value in scores.items() if name.endswith(ending)}
        if of_tasks:
            mean = statistics.fmean(of_tasks.values())
            scores[f"{MEAN}/{self.score}"] = mean
            if training.accelerator.is_main_process:
                listed = ", ".join(f"{name} {value:.2f}" for name, value in of_tasks.items())
                tqdm.write(f"step {step}: validation {self.score_in_words} {listed}, mean {mean:.2f} (percent)")
            self.keep_best(training, step, {**of_tasks, MEAN: mean})
        return scores

    def keep_best(self, training: Training, step: int, scores: Mapping[str, float]) -> None:
        """Save the weights under best/ for every task, and for the mean, whose score is higher than ever before."""
        if self.recipe.run.selection == "last":
            return
        accelerator, validated = training.accelerator, self.validated(training)
        model = accelerator.unwrap_model(validated)
        state_dict = self.saved_state(model, accelerator.get_state_dict(validated))
        if accelerator.is_main_process:
            self.best.keep(step, scores, model, state_dict)
        accelerator.wait_for_everyone()

    def saved_state(self, model: torch.nn.Module, state_dict: StateDict) -> StateDict:
        """The weights with the adapters merged into them."""
        return merged_adapters(model, state_dict) if self.recipe.model.lora_rank else state_dict

    def images_per_process(self) -> float:
        """Images of an optimizer step on one process."""
        return float(sum(self.rows)) * self.recipe.optimizer.gradient_accumulation

    def dataset(self) -> ViewedDatasets:
        """The views of all datasets."""
        pairs = zip(self.tasks, self.recipe.datasets, strict=True)
        views = tuple(self.sample_view(task, settings) for task, settings in pairs)
        return ViewedDatasets(tuple(task.train for task in self.tasks), views)


def epoch_of(step: int, total: int, epochs: int) -> int:
    """The epoch, counted from 0, of a step counted from 0."""
    return step * epochs // total
