"""A whole run from beginning to end: one per folder, ended cleanly on every process."""

import signal
import sys
from pathlib import Path

from transformers.utils import logging as transformers_logging

from .checkpointing.checkpoints import copy_result, newest
from .errors import DataWorkerError
from .kind import TrainingKind
from .loop import train
from .run_folder import save_description
from .run_lock import locked_folder
from .setup import ReadyTraining, set_up
from .signals import StopSignals


def carry_out(kind: TrainingKind) -> None:
    """Set a run up, train, and leave its result in the folder of the run.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).

    Raises:
        FolderInUseError: if another training writes to the folder.
        DataWorkerError: if a process that reads data died.
    """
    transformers_logging.disable_progress_bar()  # one bar is enough
    recipe, output_dir = kind.recipe, Path(kind.recipe.run.output_dir)
    with StopSignals() as signals, locked_folder(output_dir):
        training = set_up(kind)
        accelerator = training.accelerator
        if accelerator.is_main_process:
            save_description(output_dir, recipe)
        accelerator.init_trackers(kind.project, {key: str(value) for key, value in recipe.to_dict().items()})
        try:
            complete = train(training, signals)
            if newest(training.checkpoints.folder) is None:  # resumed from the last step of a run elsewhere
                training.checkpoints.save(training.first_step, training.model)
            accelerator.wait_for_everyone()  # or a fast process would hang up while a slow one still talks to it
        except RuntimeError as error:
            message = explain_worker_death(error, training.checkpoints.last_good())
            if message is not None:
                raise DataWorkerError(message) from error
            refuse_nondeterminism(error)
            raise
        finally:
            release(training)
            accelerator.end_training()
        if complete and accelerator.is_main_process:
            copy_result(newest(training.checkpoints.folder), output_dir)
    if not complete:
        number = signals.received or signal.SIGTERM
        print(f"stopped by signal {number}; {training.checkpoints.last_good()} Resume it with --resume auto.")
        sys.exit(128 + number)


def release(training: ReadyTraining) -> None:
    """Let go of the network before the processes part.

    DDP keeps the connection of the processes alive. If it is freed last, the destructor of the connection runs
    with the interpreter locked and can wait for ever for a thread of its own (seen with gloo, once in some runs).
    """
    training.model = training.optimizer = None
    training.accelerator.free_memory()


def explain_worker_death(error: RuntimeError, last_good: str) -> str | None:
    """A message for the death of a data worker, `None` for another error. torch names its workers so."""
    if "DataLoader worker" not in str(error):
        return None
    return (
        f"a worker process that reads data died ({str(error).splitlines()[0]}). Too little memory, also too little "
        f"shared memory, is the usual reason: try a smaller num_workers. {last_good}"
    )


def refuse_nondeterminism(error: RuntimeError) -> None:
    """Raise a ValueError if torch has no deterministic form of an operation on this device. torch names it so."""
    operation, found, _ = str(error).partition(" does not have a deterministic implementation")
    if found:
        raise ValueError(
            f"deterministic: true cannot be kept on this device: torch has no deterministic form of {operation}, "
            "which this network needs; leave it out, or train on a CPU"
        ) from error
