"""What every run does around its loop: set up, end cleanly on every process, and say how to go on."""

import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from tqdm import tqdm
from transformers.utils import logging as transformers_logging

from .checkpointing.checkpoints import Checkpoints, copy_result, newest
from .errors import DataWorkerError
from .recipe_reading import SectionedRecipe
from .run_folder import RunLog, save_description
from .run_lock import locked_folder
from .signals import StopSignals
from .throughput import Throughput


class Prepared(Protocol):
    """The parts that every run has once it is set up."""

    accelerator: Accelerator
    model: torch.nn.Module | None
    optimizer: torch.optim.Optimizer | None
    checkpoints: Checkpoints
    throughput: Throughput
    first_step: int


AnyPrepared = TypeVar("AnyPrepared", bound=Prepared)


def carry_out(
    recipe: SectionedRecipe,
    prepare: Callable[[], AnyPrepared],
    train: Callable[[Any, AnyPrepared, StopSignals], bool],
    project: str,
) -> None:
    """Prepare a run, train, and leave its result in the folder of the run.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).

    Args:
        recipe: with a section `run`.
        prepare: sets everything up.
        train: makes the steps; returns whether all were made.
        project: name for the trackers.

    Raises:
        FolderInUseError: if another training writes to the folder.
        DataWorkerError: if a process that reads data died.
    """
    transformers_logging.disable_progress_bar()  # one bar is enough
    with StopSignals() as signals, locked_folder(Path(recipe.run.output_dir)):
        training = prepare()
        accelerator, output_dir = training.accelerator, Path(recipe.run.output_dir)
        if accelerator.is_main_process:
            save_description(output_dir, recipe)
        accelerator.init_trackers(project, {key: str(value) for key, value in recipe.to_dict().items()})
        try:
            complete = train(recipe, training, signals)
            accelerator.wait_for_everyone()  # or a fast process would hang up while a slow one still talks to it
        except RuntimeError as error:
            message = explain_worker_death(error, training.checkpoints.last_good())
            if message is None:
                raise
            raise DataWorkerError(message) from error
        finally:
            release(training)
            accelerator.end_training()
        if complete and accelerator.is_main_process:
            copy_result(newest(output_dir / "checkpoints"), output_dir)
    if not complete:
        number = signals.received or signal.SIGTERM
        print(f"stopped by signal {number}; {training.checkpoints.last_good()} Go on with --resume auto.")
        sys.exit(128 + number)


def release(training: Prepared) -> None:
    """Let go of the network before the processes part.

    DDP keeps the connection of the processes alive. If it is freed last, the destructor of the connection runs
    with the interpreter locked and can wait for ever for a thread of its own (seen with gloo, once in some runs).
    """
    training.model = training.optimizer = None
    training.accelerator.free_memory()


def report(
    accelerator: Accelerator,
    log: RunLog | None,
    bar: tqdm,
    step: int,
    values: dict[str, float],
    shown: Sequence[str] = (),
) -> None:
    """Write values to trackers and log, and those named in `shown` to the progress bar."""
    accelerator.log({name: value for name, value in values.items() if math.isfinite(value)}, step=step)
    if log is not None:
        log.write(step, values)
    found = {name: f"{values[name]:.3g}" for name in shown if name in values}
    if found:
        bar.set_postfix(found)


def progress_bar(first: int, total: int, accelerator: Accelerator) -> tqdm:
    """A bar of the steps on the main process."""
    return tqdm(initial=first, total=total, unit="step", disable=not accelerator.is_main_process, leave=False)


def explain_worker_death(error: RuntimeError, last_good: str) -> str | None:
    """A message for the death of a data worker, `None` for another error. torch names its workers so."""
    if "DataLoader worker" not in str(error):
        return None
    return (
        f"a worker process that reads data died ({str(error).splitlines()[0]}). Too little memory, also too little "
        f"shared memory, is the usual reason: try a smaller num_workers. {last_good}"
    )
