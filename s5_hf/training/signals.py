"""Signals ask for a stop; the loop answers between two steps, and data workers leave the answer to it."""

import atexit
import multiprocessing
import os
import signal
import threading
import time
from ctypes import c_bool
from functools import lru_cache
from types import FrameType, TracebackType

# SIGUSR1 is what Slurm's --signal sends some time before its limit.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name))
SECONDS_TO_SAVE = 10.0
"""A launcher and a queue may both hand on one request; what comes this soon after the first asks for nothing new."""


class StopSignals:
    """Inside a `with` block SIGTERM, SIGINT and SIGUSR1 are noted instead of killing.

    Further ones do nothing within `SECONDS_TO_SAVE` of the first, so that the state can be saved; a later one acts as
    usual.

    Attributes:
        received: number of the first signal, 0 for none.
    """

    def __init__(self) -> None:
        self.received = 0
        self._since = 0.0
        self._former: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > SECONDS_TO_SAVE:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former = {}


class WorkerSignals:
    """For `worker_init_fn`: data workers outlive the signals that ask a whole process group to stop.

    Without its workers a run could not make the step after which it saves. A worker ends when the main process tells
    it, is about to exit (multiprocessing then sends SIGTERM and waits), or is gone; the last is noticed by torch too.
    """

    def __init__(self) -> None:
        self._main_process = os.getpid()
        self._exiting = multiprocessing.RawValue(c_bool, False)
        atexit.register(self._note_exit)

    def __call__(self, worker: int) -> None:
        """Set the signals of the worker process that calls."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._answer)

    def _note_exit(self) -> None:
        self._exiting.value = True

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self._exiting.value or os.getppid() != self._main_process:
            os._exit(0)


def worker_signals(num_workers: int) -> WorkerSignals | None:
    """What `worker_init_fn` takes in this process; `None` where there are no workers."""
    return _signals_of(os.getpid()) if num_workers else None


@lru_cache(maxsize=1)
def _signals_of(process: int) -> WorkerSignals:
    """One object for all loaders of a process, which may have been forked from one that has its own."""
    return WorkerSignals()
