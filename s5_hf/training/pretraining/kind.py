"""S4 pre-training (S4P): labelled and unlabelled images, and a semi-supervised method."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ...files.atomic import write_text
from ...modeling.modeling_s5_segmentation import S5ForSemanticSegmentation
from ...semi_supervised import MethodOutput, Supervised, WeightAverage
from ...semi_supervised.accumulation import Batches, counted_together
from ..batches import Row
from ..kind import StateDict, Training, TrainingKind
from ..low_rank import add_adapters, merged_adapters
from ..peaks import peak_flops
from ..schedules import learning_rate_factor
from ..selection import keep_best
from ..throughput import Throughput
from ..validation import ValidationSettings, validate
from ..views.sample_reader import ONE_IMAGE, SampleReader
from ..views.strong import color_positions
from ..views.strong_draws import StrongAugmentation, StrongDraws
from .class_shares import labelled_shares, with_labelled_shares
from .data import SegmentationData, labelled_batches, load_data, sample_ids, unlabelled_batches
from .health_report import WARNINGS, read_warnings, write_health_report, write_warnings
from .named_data import load_named_data
from .pseudo_label_health import PseudoLabelHealth
from .recipe import PretrainingRecipe
from .recipe_method import make_recipe_method
from .starting_model import starting_model
from .step_work import pretraining_throughput
from .view_maker import ViewMaker, joined


class S4Pretraining(TrainingKind[PretrainingRecipe]):
    """Semi-supervised training of a segmenter.

    Args:
        recipe: of the run.
        data: in place of what the recipe names.

    Attributes:
        method: attached to the bare network.
        average: of the weights, `None` where the recipe has none.
        score: name of the value that makes weights the best, and `score_in_words`.
    """

    project = "s4p"
    model_folder = "segmenter"
    score, score_in_words = "miou", "mIoU"
    average: WeightAverage | None = None

    def __init__(self, recipe: PretrainingRecipe, data: SegmentationData | None = None) -> None:
        super().__init__(recipe)
        self.data = data
        self.method, self.supervised = make_recipe_method(recipe), Supervised()
        self.total_steps = recipe.optimizer.total_steps

    def load_data(self, processes: int) -> Mapping[str, Any]:
        """Load the datasets."""
        data = self.recipe.data
        if self.data is None:
            self.data = self.read_data()
        self.validates = self.data.validation is not None
        return {
            "labelled": self.data.labelled,
            "unlabelled": self.data.unlabelled,
            f"validation {data.validation_split} {data.validation_count}": self.data.validation,
        }

    def read_data(self) -> SegmentationData:
        """The datasets that the recipe names."""
        recipe = self.recipe
        chooses = recipe.run.selection == "validation"
        if self.method.takes_labels:
            return load_data(recipe.data, recipe.run.seed, self.method.strong_views > 0, chooses)
        return load_named_data(recipe.data, chooses)

    @property
    def reader(self) -> SampleReader:
        """What reads the columns of a sample."""
        return ONE_IMAGE

    @property
    def augmentation(self) -> StrongAugmentation:
        """Of the strong views."""
        return StrongAugmentation(cutmix_probability=self.recipe.method.cutmix_probability)

    def new_model(self) -> S5ForSemanticSegmentation:
        """The network that the recipe starts from."""
        data, own = self.recipe.data, self.data
        return starting_model(self.recipe.model, own.task, own.labels, data.crop_size, len(data.image_mean))

    def learned_from(self) -> Sequence[Any]:
        """The labelled and the unlabelled images."""
        return self.data.labelled if self.method.takes_labels else None, self.data.unlabelled

    def class_names(self) -> Mapping[str, Sequence[str]]:
        """The classes of the labelled images."""
        return {self.data.task: self.data.labels}

    def make_model(self) -> S5ForSemanticSegmentation:
        """The segmenter at step 0."""
        self.method = make_recipe_method(self.recipe)  # again: mean and deviation may have been measured since
        model = self.new_model()
        self.method.extend(model)
        add_adapters(model, self.recipe.model)
        if self.recipe.optimizer.encoder_rate == 0:  # as a fixed function: no dropout, batch norm as it is
            model.backbone.requires_grad_(False).eval()
        return model

    def attach(self, model: torch.nn.Module) -> list[Any]:
        """Make the teacher and the average of the weights."""
        self.method.attach(model)
        if self.recipe.optimizer.weight_average_decay is not None:
            self.average = WeightAverage(model)
        return ([self.method] if self.method.has_state else []) + ([self.average] if self.average else [])

    def start(self, training: Training) -> None:
        """Write labelled.json: the labelled images by name, and how they were chosen."""
        data, folder = self.recipe.data, Path(self.recipe.run.output_dir)
        if not training.accelerator.is_main_process:
            return
        if self.recipe.run.resume is None:
            (folder / WARNINGS).unlink(missing_ok=True)  # of another run, which left no checkpoint
        self.health.warned = read_warnings(folder)
        if not self.method.takes_labels or not hasattr(self.data.labelled, "__len__"):
            return
        ids = sample_ids(self.data.labelled)
        record = {
            "choice": "all" if data.labelled_count is None and data.labelled_list is None else data.labelled_choice,
            "list": data.labelled_list,
            "seed": self.recipe.run.seed,
            "count": len(ids),
            "validation": self.data.validation_source,
            "ids": ids,
        }
        write_text(folder / "labelled.json", json.dumps(record, indent=1))

    def make_throughput(self, model: torch.nn.Module, processes: int) -> Throughput:
        """Throughput with FLOPs where the device's peak is known."""
        peak = peak_flops(next(model.parameters()).device)
        return pretraining_throughput(self.recipe, self.method, model, self.image_shape()[1:], processes, peak)

    @property
    def headline(self) -> str:
        """The method."""
        return self.method.name

    @property
    def teachers(self) -> Sequence[str]:
        """The frozen teachers of the method, with the sides of their images."""
        return tuple(self.method.frozen_teachers)

    @property
    def shown(self) -> tuple[str, ...]:
        """Names of the values beside the progress bar."""
        return ("loss", "loss_supervised", "loss_unsupervised", "mask_ratio", "images_per_second", "mfu")

    @property
    def supervised_steps(self) -> int:
        """Steps of the supervised phase."""
        return self.recipe.method.unlabelled_from_step

    def learning_rate_factor(self, step: int) -> float:
        """Factor of the learning rate at a step counted from 0; of each phase by itself where the recipe says so."""
        settings, phase, total_steps = self.recipe.optimizer, self.supervised_steps, self.total_steps
        schedule, phase_rate = settings.schedule, settings.unlabelled_rate if step >= phase else 1.0
        if settings.supervised_schedule != "joint" and step < phase:
            total_steps = phase
            schedule = "constant" if settings.supervised_schedule == "constant" else schedule
        elif settings.supervised_schedule != "joint":
            step, total_steps = step - phase, total_steps - phase
        late = max(0, step - settings.schedule_delay)
        begun = late // settings.schedule_period * settings.schedule_period
        return phase_rate * learning_rate_factor(schedule, begun, total_steps, settings.warmup_steps)

    def batches(self, training: Training, taken: int) -> Iterator[Batches]:
        """Labelled and unlabelled batches on the device from number `taken` on, for ever.

        In the supervised phase there are no unlabelled ones, and their order begins after it. A method may take no
        labelled ones.
        """
        recipe, data, method = self.recipe, self.data, self.method
        accelerator = training.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        place = {"rank": rank, "world_size": world, "reader": self.reader}
        views = ViewMaker(
            accelerator.device,
            recipe.data.image_mean,
            recipe.data.image_std,
            reverse=recipe.method.cutmix_partner == "reversed_batch",
            colors=color_positions(recipe.data.bands, len(recipe.data.image_mean)),
        )
        labelled: Iterator[Row | None] = itertools.repeat(None)
        if method.takes_labels:
            colors = StrongDraws(self.augmentation) if recipe.data.strong_labelled_views else None
            labelled = labelled_batches(recipe, data, **place, strong=colors).start(taken)
        unlabelled = partners = None
        supervised = self.supervised_steps * recipe.optimizer.gradient_accumulation
        first = max(0, taken - supervised)
        if method.strong_views:
            if data.unlabelled is None:
                raise ValueError(f"{method.name} needs unlabelled images, the data has none")
            place["strong"] = StrongDraws(self.augmentation, method.strong_views)
            unlabelled = unlabelled_batches(recipe, data, **place).start(first)
            if recipe.method.cutmix_partner == "second_batch":
                partners = unlabelled_batches(recipe, data, **place, stream="partner").start(first)
        return joined(views, labelled, unlabelled, partners, max(0, supervised - taken))

    def counted_together(self, batches: list[Batches]) -> list[Batches]:
        """The batches of the micro-steps of one step, whose losses are divided by the pixels of all."""
        return counted_together(batches, self.method.pastes)

    def step(self, model: torch.nn.Module, batch: Batches, step: int) -> MethodOutput:
        """The loss of the method, or in the supervised phase that of the labelled images.

        Where there are pseudo-labels too, the share of each class in the labelled pixels is among its values.
        """
        output = (self.supervised if step < self.supervised_steps else self.method)(model, *batch, step)
        return with_labelled_shares(output, batch[0], self.data.labels) if self.method.strong_views else output

    def after_step(self, model: torch.nn.Module, step: int) -> None:
        """Let the teacher and the average follow."""
        self.method.after_step(model, step)
        if self.average is not None:
            self.average.update(model, min(self.recipe.optimizer.weight_average_decay, 1 - 1 / (step + 1)))

    @cached_property
    def health(self) -> PseudoLabelHealth:
        """Warns of sick pseudo-labels."""
        return PseudoLabelHealth(self.data.labels, self.total_steps - self.supervised_steps)

    def observe(
        self, training: Training, step: int, values: Mapping[str, float], class_shares: list[float]
    ) -> dict[str, float]:
        """Watch the pseudo-labels; returns the share of each class in them."""
        self.health.see_labelled(labelled_shares(values, self.data.labels))
        if class_shares and "mask_ratio" in values and training.accelerator.is_main_process:
            threshold = self.method.threshold_now
            lowest = threshold if threshold is None or isinstance(threshold, float) else threshold.min().item()
            highest_confidence = values.get("highest_confidence", 0.0)
            if self.health.see(step, values["mask_ratio"], class_shares, lowest, highest_confidence):
                write_warnings(Path(self.recipe.run.output_dir), self.health.warned)
        pairs = zip(self.data.labels, class_shares, strict=bool(class_shares))
        return {f"pseudo_label_share/{label}": share for label, share in pairs}

    def observations(self) -> dict[str, Any]:
        """What the health of the pseudo-labels is judged by."""
        return {"health": self.health.state()} if self.method.strong_views else {}

    def load_observations(self, found: Mapping[str, Any]) -> None:
        """Judge it by the same as before the stop."""
        if "health" in found:
            self.health.load_state(found["health"])

    def validate(self, training: Training, step: int) -> dict[str, float]:
        """Validate the average of the weights where there is one, else the network."""
        recipe, data = self.recipe, self.data
        threshold = self.method.threshold_now
        settings = ValidationSettings(
            data.labels,
            data.ignore_index,
            recipe.data.mean_excludes,
            self.counted_from(threshold),
            recipe.data.image_mean,
            recipe.data.image_std,
            data.palette,
            recipe.run.panel_images,
            recipe.data.value_scaling,
            color_positions(recipe.data.bands, len(recipe.data.image_mean)),
            self.reader,
            self.more_scores,
        )
        panel = Path(recipe.run.output_dir) / "panels" / f"step-{step:08d}.png"
        scores = validate(self.validated(training), data.validation, settings, training.accelerator, panel)
        if training.accelerator.is_main_process:
            tqdm.write(f"step {step}: validation {self.score_in_words} {scores[self.score]:.2f} %")
            if self.health.see_validation(step, scores):
                write_warnings(Path(recipe.run.output_dir), self.health.warned)
        if isinstance(threshold, torch.Tensor):
            named = zip(data.labels, threshold.tolist(), strict=True)
            scores |= {f"threshold/{label}": value for label, value in named}
        if recipe.run.selection == "validation":
            self.keep_best(training, step, scores[self.score])
        return scores

    def more_scores(self, counts: torch.Tensor) -> dict[str, float]:
        """Values of a validation besides those of every segmenter, from its counts."""
        return {}

    def counted_from(self, threshold: float | torch.Tensor | None) -> float | torch.Tensor:
        """The confidence from which on a validation pixel is called confident.

        Every pixel counts somehow where the method has no threshold. Where it has no pseudo-labels, the recipe's
        threshold says what they would be worth.
        """
        if threshold is not None:
            return threshold
        return 0.0 if self.method.strong_views else self.recipe.method.confidence_threshold

    def report(self) -> None:
        """Write the page about the health of the run."""
        write_health_report(self.recipe, self.data, self.method)

    def keep_best(self, training: Training, step: int, score: float) -> None:
        """Save the validated weights under best/mean if none were better before."""
        accelerator, validated = training.accelerator, self.validated(training)
        is_trained = validated is accelerator.unwrap_model(training.model)  # its weights may be shared by processes
        state_dict = accelerator.get_state_dict(training.model) if is_trained else validated.state_dict()
        state_dict = self.saved_state(validated, state_dict)
        keep_best(self, accelerator, step, score, validated, state_dict, self.data.validation_source)

    def validated(self, training: Training) -> torch.nn.Module:
        """The network that is validated: the average of the weights, else the averaged teacher, else the student."""
        averaged = list(self.followers.values()) if self.recipe.run.validate_on == "averaged" else []
        return averaged[0] if averaged else training.accelerator.unwrap_model(training.model)

    def saved_state(self, model: torch.nn.Module, state_dict: StateDict) -> StateDict:
        """The weights with the adapters merged, without what the method needs in training only."""
        if self.recipe.model.lora_rank:
            state_dict = merged_adapters(model, state_dict)
        return self.method.saved_state(state_dict)

    @property
    def followers(self) -> dict[str, S5ForSemanticSegmentation]:
        """The segmenters with averaged weights."""
        models = {"average": self.average and self.average.model, "teacher": self.method.teacher_model}
        return {name: model for name, model in models.items() if model is not None}
