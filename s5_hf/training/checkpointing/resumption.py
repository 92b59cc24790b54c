"""Resuming a run: only from files and data that are as they were left, and with every random number in its place."""

import random
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import load as load_file
from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError
from ..every_process import answer_of_main_process

AUTO, FORCE = "auto", "force"
"""Words for `resume`: the newest checkpoint if there is one, and the same with changed files or data."""

# What files with foreign content raise when they are read or put into a network, an optimizer or a generator.
READ_ERRORS = (
    *(OSError, EOFError, UnpicklingError, SafetensorError, RuntimeError, ValueError),
    *(KeyError, TypeError, AttributeError, IndexError),
)


def require_unchanged(
    accelerator: Accelerator, folder: Path, find_changes: Callable[[], Sequence[str]], force: bool
) -> None:
    """Compare on the main process, raise on all.

    Args:
        accelerator: whose processes call this together.
        folder: of the checkpoint.
        find_changes: what differs from what the run left, one line each.
        force: only warn.

    Raises:
        CheckpointError: naming every difference.
    """
    changes = answer_of_main_process(accelerator, find_changes)
    if not changes:
        return
    listed = "; ".join(changes)
    if not force:
        raise CheckpointError(
            f"{folder} cannot be resumed exactly: {listed}. Bring back what was there, or resume all the same with "
            f"--resume {FORCE}: the result is then another than that of an uninterrupted run"
        )
    if accelerator.is_main_process:
        warnings.warn(f"{folder} is resumed by force although it differs: {listed}", RuntimeWarning, stacklevel=2)


def load_state(accelerator: Accelerator, folder: Path, force: bool, with_random_numbers: bool = True) -> None:
    """Load what Accelerate saved.

    Args:
        accelerator: with everything prepared.
        folder: that `save_state` wrote.
        force: resume without the random states if they cannot be loaded.
        with_random_numbers: whether the random states of this process must be among it.

    Raises:
        CheckpointError: naming the file that is broken, or what does not fit.
    """
    try:
        accelerator.load_state(str(folder))
    except READ_ERRORS as error:
        raise CheckpointError(explain_failure(folder, error)) from error
    if not with_random_numbers:
        return
    try:
        require_random_state(folder / f"random_states_{accelerator.process_index}.pkl")
    except CheckpointError as error:
        if not force:
            raise
        warnings.warn(f"{error}; the run resumes with other random numbers", RuntimeWarning, stacklevel=2)


def require_random_state(path: Path) -> None:
    """Raise a CheckpointError unless the generators of this process are in the state of a file.

    Accelerate passes over a file that it cannot read, and over one from a machine with other devices.
    """
    try:
        states = load_file(path)
        python, (_, keys, place, *_) = states["random_state"], states["numpy_random_seed"]
        same = [python == random.getstate(), torch.equal(states["torch_manual_seed"], torch.get_rng_state())]
        _, present_keys, present_place, *_ = np.random.get_state()
        same += [bool(np.array_equal(keys, present_keys)), place == present_place]
        if torch.cuda.is_available():
            pairs = zip(states["torch_cuda_manual_seed"], torch.cuda.get_rng_state_all(), strict=True)
            same += [torch.equal(saved, present) for saved, present in pairs]
    except READ_ERRORS as error:
        raise CheckpointError(
            f"{path} does not hold the random states of this process and its devices: {in_words(error)}"
        ) from error
    if not all(same):
        raise CheckpointError(f"the random states of {path} could not be restored on this machine")


def explain_failure(folder: Path, error: BaseException) -> str:
    """Why a saved state cannot be loaded: the files that hold something else, or what does not fit."""
    broken = broken_files(folder)
    if broken:
        return f"{', '.join(map(str, broken))} cannot be loaded: not what a run has saved ({type(error).__name__})"
    return f"{folder} cannot be loaded: {in_words(error)}"


def broken_files(folder: Path) -> list[Path]:
    """The files of a saved state that cannot be read, or do not hold a dictionary."""
    broken = []
    for path in sorted([*folder.glob("*.bin"), *folder.glob("*.pkl"), *folder.glob("*.safetensors")]):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    continue
            if not isinstance(load_file(path), dict):
                broken.append(path)
        except READ_ERRORS:
            broken.append(path)
    return broken


def in_words(error: BaseException) -> str:
    """Kind and first line of an error; torch's advice on files that it does not trust is left out."""
    if isinstance(error, UnpicklingError):
        return "it holds something else than a saved state"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
