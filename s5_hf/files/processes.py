"""Work on many files in processes, started the same way on every system, and in threads, in order.

The processes of a distributed program (`accelerate launch`, `torchrun`) wait here for one another, too.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["LONGEST_WAIT", "ordered_results", "patient_accelerator", "share_processor", "worker_pool"]

LONGEST_WAIT = timedelta(hours=6)
"""How long the processes of a distributed program wait for one of them, which may have a million files to list."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of new processes that leave Ctrl-C to the process that started them.

    When the block ends with an exception, work that has not begun is dropped and running work is finished.
    """
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the main one decides what happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def ordered_results(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """The results of some work on each item, in the order of the items.

    Args:
        pool: threads or processes that do the work.
        work: called with one item.
        items: taken as they are needed.
        ahead: number of items that may be in work or finished beyond the one asked for.

    Raises:
        Exception: what the work raises; items that have not begun are then dropped.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def share_processor() -> bool:
    """Whether the processes of a launcher meet on the processor, as they do where there is no GPU.

    Accelerate asks to be told so. `torchrun` does not tell it, and then each process takes itself for the only one.
    """
    import torch
    from accelerate.utils import parse_flag_from_env

    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    has_gpu = getattr(torch, "accelerator", torch.cuda).is_available()  # torch 2.5 has no `accelerator`
    return parse_flag_from_env("ACCELERATE_USE_CPU") or (several and not has_gpu)


def patient_accelerator(**settings: Any) -> "Accelerator":
    """An `Accelerator` whose processes wait `LONGEST_WAIT` for one another, not ten minutes; without a GPU, too.

    Args:
        settings: as `Accelerator` takes them.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs

    handlers = [InitProcessGroupKwargs(timeout=LONGEST_WAIT), *settings.pop("kwargs_handlers", ())]
    return Accelerator(kwargs_handlers=handlers, cpu=share_processor(), **settings)
