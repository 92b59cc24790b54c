"""File operations that all processes of a run make together: each learns whether any of them failed."""

from collections.abc import Callable

import torch
from accelerate import Accelerator

from ..files.disk_space import WRITE_ERRORS

WriteError = BaseException | str


def on_every_process(accelerator: Accelerator, action: Callable[[], None]) -> WriteError | None:
    """Run an action everywhere; its own error, or a word on that of another process, or `None` if all went well."""
    error: WriteError | None = None
    try:
        action()
    except WRITE_ERRORS as raised:
        error = raised
    failed = torch.tensor([error is not None], device=accelerator.device, dtype=torch.int32)
    if accelerator.reduce(failed, "sum").item() and error is None:
        error = "another process could not write"
    return error


def on_main_process(accelerator: Accelerator, action: Callable[[], None]) -> WriteError | None:
    """Run an action on the main process; every process learns whether it failed."""
    return on_every_process(accelerator, action if accelerator.is_main_process else lambda: None)
