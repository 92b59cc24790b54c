"""A training without weights and steps: everything that can be known before is read, checked and said."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..files.disk_space import free_bytes
from .checkpointing.checkpoints import Checkpoints
from .kind import Training, TrainingKind
from .starting_weights import weights_in_words, without_weights

BYTES_PER_PARAMETER = 20
"""Of a checkpoint: the network for users and its encoder, and to resume from, weights and two moments of AdamW."""
STARTS = ("reasoner", "mask_former", "encoder", "segmenter", "detector", "clip", "road_model", "translator")


def dry_run(kind: TrainingKind, say: Callable[[str], None] = print) -> None:
    """Check all that a run needs, and say what it would do. No weights are read, no step is made, nothing is written.

    Args:
        kind: of training, with its recipe.
        say: takes what was found, a line at a time.

    Raises:
        ValueError, OSError, KeyError: as the run itself would, for data, classes, sizes and networks that do not fit
            together, weights that are nowhere, and a disk that is too full for the checkpoints.
    """
    recipe, training = kind.recipe, Training(Accelerator(cpu=True), model=None)
    recipe.data.num_workers = 0  # one batch is not worth the start of processes
    found = Checkpoints(kind, training.accelerator).to_resume()
    for name, dataset in kind.load(processes=1).items():
        if dataset is not None:
            say(f"data         {name}: {f'{len(dataset):,} samples' if hasattr(dataset, '__len__') else 'streamed'}")
    for task, labels in kind.class_names().items():
        say(f"classes      {task}: {len(labels)} ({', '.join(labels)})")
    for part, tensor in tensors_of(next(kind.batches(training, taken=0))):
        say(f"first batch  {part}: {tuple(tensor.shape)}, {str(tensor.dtype).removeprefix('torch.')}")
    with without_weights():
        parameters = sum(parameter.numel() for parameter in kind.make_model().parameters())
    say(f"network      {parameters / 1e6:,.1f} M parameters, {start_in_words(recipe.model)}")
    for name in kind.teachers:
        say(f"teacher      {name}; its weights: {weights_in_words(name.partition('@')[0])}")
    kind.learning_rate_factor(0)
    words = {"no": "full", "auto": "bf16 or full"}
    precision = recipe.optimizer.mixed_precision
    say(f"steps        {kind.total_steps:,}, in {words.get(precision, precision)} precision")
    say(f"disk         {disk_in_words(recipe.run, parameters)}")
    resumed = "a new run" if found is None else f"resumed from the checkpoint {found.name}"
    say(f"output       {recipe.run.output_dir}: {resumed}")


def tensors_of(value: Any, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of nested dataclasses, mappings and sequences with its path, such as `unlabelled.strong.0`."""
    if isinstance(value, torch.Tensor):
        yield name or "images", value
        return
    if dataclasses.is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        parts = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = list(enumerate(value))
    else:
        return
    for key, part in parts:
        yield from tensors_of(part, f"{name}.{key}" if name else str(key))


def start_in_words(model: Any) -> str:
    """What the network starts from, and where those weights are."""
    for key in STARTS:
        name = getattr(model, key, None)
        if name:
            return f"from the {key} {name}; its weights: {weights_in_words(name)}"
    return "from random weights"


def disk_in_words(run: Any, parameters: int) -> str:
    """What the checkpoints take, about.

    Raises:
        OSError: if there is no room for them.
    """
    one, count = BYTES_PER_PARAMETER * parameters, run.keep_checkpoints + 1  # a new one comes before the oldest goes
    free = free_bytes(Path(run.output_dir))
    if free < count * one:
        raise OSError(
            f"{run.output_dir}: {count} checkpoints of about {one / 1e9:,.2f} GB each do not fit on the disk, where "
            f"{free / 1e9:,.2f} GB are free; keep_checkpoints and output_dir can be changed"
        )
    return f"{count} checkpoints of about {one / 1e9:,.2f} GB each; {free / 1e9:,.1f} GB are free"
