"""Everything a pre-training run needs before its first step, put together from a recipe."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from accelerate.tracking import get_available_trackers
from accelerate.utils import set_seed

from ...modeling.aligned_weights import align_weights
from ...modeling.image_processing_s5 import S5ImageProcessor
from ...semi_supervised import METHODS, LabelledBatch, Method, UnlabelledBatch, WeightAverage, make_method
from ..batches import Row
from ..checkpointing.checkpoints import Checkpoints
from ..checkpointing.data_listing import DataListing
from ..optimizer import make_optimizer
from ..recipe_reading import SectionedRecipe
from ..throughput import Throughput, forward_flops, peak_flops, step_flops
from ..validation import ValidationSettings
from ..views.strong import StrongAugmentation
from .data import SegmentationData, labelled_batches, load_data, unlabelled_batches
from .recipe import Recipe
from .starting_model import starting_model, synchronise_batch_norm
from .view_maker import ViewMaker


@dataclass
class Training:
    """The parts of a run that is ready to start.

    Attributes:
        accelerator: of Accelerate.
        data: the datasets.
        model: prepared, `None` once it is released; the bare one is `accelerator.unwrap_model(model)`.
        method: attached to the bare model.
        optimizer: prepared.
        average: of the weights, `None` where the recipe has none.
        checkpoints: writes and reads them.
        throughput: measures time.
        first_step: steps that were made before.
    """

    accelerator: Accelerator
    data: SegmentationData
    model: torch.nn.Module | None
    method: Method
    optimizer: torch.optim.Optimizer | None
    average: WeightAverage | None
    checkpoints: Checkpoints
    throughput: Throughput
    first_step: int


def set_up(recipe: Recipe, data: SegmentationData | None = None) -> Training:
    """Load data, make or load the network, prepare everything for the device, and take up a checkpoint.

    Args:
        recipe: of the run.
        data: in place of what the recipe names.

    Raises:
        ValueError: for settings, data and networks that do not fit together.
        CheckpointError: if a run cannot be resumed.
    """
    accelerator = make_accelerator(recipe)
    checkpoints = Checkpoints(
        Path(recipe.run.output_dir) / "checkpoints",
        recipe.run.keep_checkpoints,
        accelerator,
        recipe,
        processor(recipe),
    )
    resumed_from = checkpoints.to_resume()
    method = make_recipe_method(recipe)
    if data is None:
        with accelerator.main_process_first():  # one process fills the cache of the datasets
            data = load_data(recipe.data, recipe.run.seed, with_unlabelled=method.strong_views > 0)
    checkpoints.data = listed_on_main_process(
        accelerator,
        {
            "labelled": data.labelled,
            "unlabelled": data.unlabelled,
            f"validation {recipe.data.validation_split} {recipe.data.validation_count}": data.validation,
        },
    )
    set_seed(recipe.run.seed, deterministic=recipe.run.deterministic)  # the same new weights on every process
    model = starting_model(
        recipe.model, data.task, data.labels, recipe.data.crop_size, channels=len(recipe.data.image_mean)
    )
    model = synchronise(model, recipe, accelerator).to(accelerator.device)
    method.attach(model)
    decay = recipe.optimizer.weight_average_decay
    average = None if decay is None else WeightAverage(model)
    throughput = make_throughput(model, method, recipe, accelerator)
    settings = recipe.optimizer
    optimizer = make_optimizer(
        model, settings.learning_rate, settings.weight_decay, (settings.beta1, settings.beta2), settings.layer_decay
    )
    align_weights(model)  # a resumed run gives the same bits only with weights at such addresses
    model, optimizer = accelerator.prepare(model, optimizer)
    if settings.compile:
        accelerator.unwrap_model(model).compile()
    for part in ([method] if method.has_teacher else []) + ([average] if average is not None else []):
        refuse_sharding(accelerator)
        accelerator.register_for_checkpointing(part)
    set_seed(recipe.run.seed, device_specific=True, deterministic=recipe.run.deterministic)
    first_step = 0 if resumed_from is None else checkpoints.load(resumed_from)
    return Training(accelerator, data, model, method, optimizer, average, checkpoints, throughput, first_step)


def make_accelerator(recipe: SectionedRecipe) -> Accelerator:
    """Accelerate with the recipe's precision and trackers.

    Raises:
        ValueError: if a tracker is unknown or not installed.
    """
    names = [name for name in recipe.run.trackers if name != "none"]
    available = [str(tracker) for tracker in get_available_trackers()]
    missing = sorted(set(names) - set(available))
    if missing:
        raise ValueError(
            f"trackers not known or not installed: {', '.join(missing)}; available: {', '.join(available)}"
        )
    return Accelerator(
        mixed_precision=recipe.optimizer.mixed_precision, log_with=names or None, project_dir=recipe.run.output_dir
    )


def listed_on_main_process(accelerator: Accelerator, datasets: Mapping[str, Any]) -> DataListing:
    """What a run learns from; only the main process compares and saves it, so only that looks at the files."""
    return DataListing.of(datasets if accelerator.is_main_process else {})


def make_recipe_method(recipe: Recipe) -> Method:
    """The method of a recipe, with those of its options that it has."""
    settings = dataclasses.asdict(recipe.method)
    options = {field.name for field in dataclasses.fields(METHODS[recipe.method.method]) if field.init}
    return make_method(recipe.method.method, **{name: settings[name] for name in options & set(settings)})


def processor(recipe: SectionedRecipe) -> S5ImageProcessor:
    """The image processor that goes with the networks of a recipe."""
    return S5ImageProcessor(image_mean=recipe.data.image_mean, image_std=recipe.data.image_std)


def synchronise(model: torch.nn.Module, recipe: SectionedRecipe, accelerator: Accelerator) -> torch.nn.Module:
    """Share batch norm statistics between processes, if the recipe asks for it."""
    if not recipe.optimizer.sync_batch_norm:
        return model
    return synchronise_batch_norm(model, accelerator.num_processes, accelerator.device)


def refuse_sharding(accelerator: Accelerator) -> None:
    """Raise a ValueError where the weights are sharded: an average needs whole ones."""
    if accelerator.distributed_type == DistributedType.FSDP:
        raise ValueError(
            "a teacher and weight_average_decay need whole weights, which FSDP does not keep: use DDP or fixmatch"
        )


def make_throughput(model: torch.nn.Module, method: Method, recipe: Recipe, accelerator: Accelerator) -> Throughput:
    """Throughput with FLOPs where the device's peak is known."""
    labelled, unlabelled = recipe.optimizer.labelled_batch_size, recipe.optimizer.unlabelled_batch_size
    if not method.strong_views:
        unlabelled = 0
    per_process = recipe.optimizer.gradient_accumulation * (labelled + unlabelled)
    images = per_process * accelerator.num_processes
    peak = peak_flops(accelerator.device)
    if peak is None:
        return Throughput(images)
    forward = forward_flops(model, recipe.data.crop_size, len(recipe.data.image_mean))
    weak = unlabelled * (2 if recipe.method.cutmix_partner == "second_batch" else 1)
    flops = step_flops(forward, labelled, method.strong_views * unlabelled, weak)
    return Throughput(images, flops * recipe.optimizer.gradient_accumulation, peak)


def batch_source(training: Training, recipe: Recipe) -> Iterator[tuple[LabelledBatch, UnlabelledBatch | None]]:
    """Labelled and unlabelled batches on the device, for ever, from the first step that is to be made."""
    accelerator, data, method = training.accelerator, training.data, training.method
    place = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
    taken = training.first_step * recipe.optimizer.gradient_accumulation
    views = ViewMaker(
        accelerator.device,
        recipe.data.image_mean,
        recipe.data.image_std,
        method.strong_views,
        StrongAugmentation(cutmix_probability=recipe.method.cutmix_probability),
    )
    labelled = labelled_batches(recipe, data, **place).start(taken)
    unlabelled = partners = None
    if method.strong_views:
        if data.unlabelled is None:
            raise ValueError(f"{method.name} needs unlabelled images, the data has none")
        unlabelled = unlabelled_batches(recipe, data, **place).start(taken)
        if recipe.method.cutmix_partner == "second_batch":
            partners = unlabelled_batches(recipe, data, **place, stream="partner").start(taken)
    return joined(views, labelled, unlabelled, partners)


def joined(
    views: ViewMaker, labelled: Iterator[Row], unlabelled: Iterator[Row] | None, partners: Iterator[Row] | None
) -> Iterator[tuple[LabelledBatch, UnlabelledBatch | None]]:
    """Rows of the streams, together and on the device."""
    for rows in labelled:
        unlabelled_batch = None
        if unlabelled is not None:
            unlabelled_batch = views.unlabelled(next(unlabelled), None if partners is None else next(partners))
        yield views.labelled(rows), unlabelled_batch


def validation_settings(recipe: Recipe, data: SegmentationData) -> ValidationSettings:
    """How a recipe validates."""
    return ValidationSettings(
        data.labels,
        data.ignore_index,
        recipe.data.mean_excludes,
        recipe.method.confidence_threshold,
        recipe.data.image_mean,
        recipe.data.image_std,
        data.palette,
        recipe.run.panel_images,
    )


__all__ = ["Training", "batch_source", "set_up", "validation_settings"]
