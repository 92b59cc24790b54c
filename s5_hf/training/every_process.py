"""What all processes of a run do together: file operations, and questions that the main process answers for all.

Each learns whether any of them failed. A file system may show a file to one process before it does to another.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from ..files.disk_space import WRITE_ERRORS
from .errors import CheckpointError

WriteError = BaseException | str
Answer = TypeVar("Answer")


def on_every_process(
    accelerator: Accelerator,
    action: Callable[[], None],
    errors: tuple[type[BaseException], ...] = WRITE_ERRORS,
    elsewhere: str = "another process could not write",
) -> WriteError | None:
    """Run an action everywhere.

    Args:
        accelerator: whose processes call this together.
        action: what each does.
        errors: that it may end with.
        elsewhere: says that it failed on another process.

    Returns:
        Its own error, or the word on that of another process, or `None` if all went well.
    """
    error: WriteError | None = None
    try:
        action()
    except errors as raised:
        error = raised
    failed = torch.tensor([error is not None], device=accelerator.device, dtype=torch.int32)
    if accelerator.reduce(failed, "sum").item() and error is None:
        error = elsewhere
    return error


def on_main_process(accelerator: Accelerator, action: Callable[[], None]) -> WriteError | None:
    """Run an action on the main process; every process learns whether it failed."""
    return on_every_process(accelerator, action if accelerator.is_main_process else lambda: None)


def answer_of_main_process(accelerator: Accelerator, find: Callable[[], Answer]) -> Answer:
    """What a function gives on the main process, which alone calls it and tells the others.

    Raises:
        CheckpointError, OSError: on every process, as the function raised it.
    """
    answer: list[Any] = [None]
    if accelerator.is_main_process:
        try:
            answer = [find()]
        except (CheckpointError, OSError) as error:
            answer = [error]
    (found,) = broadcast_object_list(answer)
    if isinstance(found, CheckpointError | OSError):
        raise found
    return found
