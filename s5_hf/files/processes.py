"""Worker processes for work on many files, started the same way on every system."""

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

__all__ = ["worker_pool"]


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
