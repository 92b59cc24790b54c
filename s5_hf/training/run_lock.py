"""One training per folder, on any number of processes."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from ..files.locks import folder_lock
from ..files.processes import LONGEST_WAIT, share_processor


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the folder of a run. All processes of the run call it together; the main one locks.

    Raises:
        FolderInUseError: on every process, naming the other run, if there is one.
        OSError: on every process, if the folder cannot be made or written to.
    """
    state = PartialState(cpu=share_processor(), timeout=LONGEST_WAIT)  # as `Accelerator` will make it
    with contextlib.ExitStack() as stack:
        answer: list[Exception | None] = [None]
        if state.is_main_process:
            try:
                stack.enter_context(folder_lock(folder))
            except OSError as error:
                answer = [error]
        answer = broadcast_object_list(answer)
        if answer[0] is not None:
            raise answer[0]
        yield
