"""Everything a run needs before its first step: one sequence for every kind of training."""

import os
from dataclasses import dataclass

import torch
from accelerate import Accelerator, PartialState
from accelerate.tracking import get_available_trackers
from accelerate.utils import set_seed

from ..modeling.aligned_weights import align_weights
from ..predictors.precision import AUTO, has_native_bf16
from .checkpointing.checkpoints import Checkpoints
from .checkpointing.data_listing import DataListing
from .kind import Training, TrainingKind
from .recipe_reading import SectionedRecipe
from .shared_batch_norm import share_batch_statistics
from .sharing import prepare_sharing, refuse_sharding, sharing_accelerator
from .throughput import Throughput


@dataclass
class ReadyTraining(Training):
    """A run that is ready to start.

    Attributes:
        kind: of training.
        optimizer: prepared, `None` once it is released.
        checkpoints: writes and reads them.
        throughput: measures time.
        first_step: steps that were made before.
    """

    kind: TrainingKind
    optimizer: torch.optim.Optimizer | None
    checkpoints: Checkpoints
    throughput: Throughput
    first_step: int


def set_up(kind: TrainingKind) -> ReadyTraining:
    """Load data, make or load the network, prepare everything for the device, and resume from a checkpoint.

    Raises:
        ValueError: for settings, data and networks that do not fit together.
        CheckpointError: if a run cannot be resumed.
    """
    run, settings = kind.recipe.run, kind.recipe.optimizer
    if run.deterministic:  # read when CUDA is first used; without it matrix products have other bits every time
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    accelerator = make_accelerator(kind.recipe)
    refuse_sharding(accelerator, kind.needs_whole_weights)
    checkpoints = Checkpoints(kind, accelerator)
    resumed_from = checkpoints.to_resume()
    with accelerator.main_process_first():  # one process fills the cache of the datasets
        datasets = kind.load(accelerator.num_processes)
    # Only the main process compares and saves the listing, so only that looks at the files.
    checkpoints.data = DataListing.of(datasets if accelerator.is_main_process else {})

    set_seed(run.seed, deterministic=run.deterministic)  # the same new weights on every process
    model = kind.make_model()
    if settings.sync_batch_norm and accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        model = share_batch_statistics(model)
    model = model.to(accelerator.device)
    followers = kind.attach(model)
    throughput = kind.make_throughput(model, accelerator.num_processes)
    optimizer = kind.make_optimizer(model, accelerator.num_processes)
    align_weights(model)  # a resumed run gives the same bits only with weights at such addresses
    prepare_sharing(accelerator, model, kind.image_shape())
    model, optimizer = accelerator.prepare(model, optimizer)
    if settings.compile:
        accelerator.unwrap_model(model).compile()
    for part in followers:
        accelerator.register_for_checkpointing(part)
    set_seed(run.seed, device_specific=True, deterministic=run.deterministic)
    first_step = 0 if resumed_from is None else checkpoints.load(resumed_from)
    training = ReadyTraining(accelerator, model, kind, optimizer, checkpoints, throughput, first_step)
    kind.start(training)
    return training


def make_accelerator(recipe: SectionedRecipe) -> Accelerator:
    """Accelerate with the recipe's precision and trackers.

    A precision of `auto` becomes the device's in the recipe, so that a checkpoint holds it: elsewhere, where it would
    be another, the run is not resumed.

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
    if recipe.optimizer.mixed_precision == AUTO:
        native = has_native_bf16(PartialState().device)
        recipe.optimizer.mixed_precision = "bf16" if native else "no"
    return sharing_accelerator(recipe.optimizer.mixed_precision, names, recipe.run.output_dir)
