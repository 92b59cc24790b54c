"""Processes that begin with the libraries imported: a fork of one that has them, where the system can fork.

A new interpreter needs three to five seconds of a processor for torch, transformers and this package. What a process
does at import, or with threads or signals of its own, needs a new interpreter all the same: use `subprocess` there.
"""

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARIES = [
    *("torch", "torch.distributed", "transformers", "accelerate", "datasets", "tests.training.finetuning"),
    *("s5_hf.training.loop", "s5_hf.training.segmentation.kind", "s5_hf.training.pretraining.kind"),
    "tests.frozen",  # last
]

_ENVIRONMENT = dict(os.environ)  # as no test has changed it
_CONTEXT = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
_CONTEXT.set_forkserver_preload(LIBRARIES)


def _run(code: str, arguments: list[str], environment: dict[str, str], output: str, start_method: str) -> None:
    """What the process does: as `python -c code arguments`, with both streams in a file."""
    # Its own processes, such as data workers, start as anywhere; else it would leave a second server of forks behind.
    multiprocessing.set_start_method(start_method, force=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(REPOSITORY)
    with Path(output).open("wb", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.argv = ["-c", *arguments]
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    exec(compile(code, "<code of a test>", "exec"), {"__name__": "__main__"})


class FreshProcess:
    """A running process; the interface is the part of `subprocess.Popen` that tests need."""

    def __init__(self, code: str, *arguments: object, **environment: str) -> None:
        handle, self._output = tempfile.mkstemp(suffix=".txt")
        os.close(handle)
        # A sum over another number of threads rounds differently, and runs are compared bit for bit.
        variables = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), **environment}
        words, method = [*map(str, arguments)], multiprocessing.get_start_method()
        self._process = _CONTEXT.Process(target=_run, args=(code, words, variables, self._output, method))
        with mock.patch.dict(os.environ, _ENVIRONMENT, clear=True):  # the first one starts the process that is forked
            self._process.start()

    @property
    def returncode(self) -> int | None:
        """The exit status, minus the number of the signal that ended it, or None."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.join()

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> str:
        """Wait for the end; everything that was printed. What runs longer is killed."""
        self._process.join(timeout)
        self.kill()
        try:
            return Path(self._output).read_text(encoding="utf-8", errors="replace")
        finally:
            Path(self._output).unlink()


# Runs a script, the first of the arguments, with the others, as Python does.
RUN_FILE = """
import os, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_processes(
    count: int, code: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> list[FreshProcess]:
    """Several processes that run code and are told, as under any launcher, where to meet over gloo."""
    common = {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "ACCELERATE_USE_CPU": "true",
        **(environment or {}),
    }
    return [FreshProcess(code, *arguments, RANK=str(rank), LOCAL_RANK=str(rank), **common) for rank in range(count)]


def run_in_processes(
    count: int, code: str, *arguments: object, timeout: float = 240, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Run code in several processes that talk over gloo; what each printed. All must end well."""
    processes = start_processes(count, code, *arguments, environment=environment)
    outputs = [process.communicate(timeout) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, "\n".join(outputs)
    return outputs
