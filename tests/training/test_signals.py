"""Signals that ask for a stop: of a process, of a whole group with its data workers, once, twice and later."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from s5_hf.training import signals as signals_module
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.signals import SECONDS_TO_SAVE, STOP_SIGNALS, StopSignals, worker_signals
from tests.training.pretraining import REPOSITORY, pretrain
from tests.training.test_pretraining import assert_equal_runs

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")

OPTIONS = ("--total_steps", "6", "--checkpoint_steps", "10", "--validation_steps", "0", "--schedule", "constant")

WAITS_AT_A_STEP = """
import multiprocessing, sys
from pathlib import Path
import pytest
from tests.training.pretraining import pretrain
from tests.training.test_pretraining import interrupt_at

def wait():
    print("\\nworkers", *(child.pid for child in multiprocessing.active_children()), flush=True)
    sys.stdin.readline()

interrupt_at(pytest.MonkeyPatch(), wait, int(sys.argv[2]))
pretrain(Path(sys.argv[1]), "--num_workers", "1", *sys.argv[3:])
"""

FAILS_WITH_WORKERS = """
import multiprocessing
import torch
from s5_hf.training.batches import load_in_order

class Rows:
    def __getitem__(self, place):
        return {"value": torch.zeros(1)}

class Order:
    def batch(self, index):
        return [(index,)]

rows = load_in_order(Rows(), Order(), 0, 1)
next(rows)
print("\\nworkers", *(child.pid for child in multiprocessing.active_children()), flush=True)
raise RuntimeError("the end")
"""


def start(code, *arguments):
    """A process group of its own, up to the line that names its data workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("workers"):
            return process, [int(word) for word in line.split()[1:]]
    raise AssertionError("".join(lines))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for_end(pids, seconds=30):
    until = time.monotonic() + seconds
    while any(map(is_running, pids)):
        assert time.monotonic() < until, f"of {pids} some are still running"
        time.sleep(0.1)


def test_a_group_that_is_signalled_saves_and_goes_on_exactly_and_no_worker_outlives_a_killed_run(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    pretrain(whole, *OPTIONS)

    process, workers = start(WAITS_AT_A_STEP, parts, 1, *OPTIONS)
    assert len(workers) == 2  # one for each stream
    os.killpg(process.pid, signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)  # the launcher hands it on
    os.killpg(process.pid, signal.SIGUSR1)
    time.sleep(0.5)
    assert all(map(is_running, workers))
    output, _ = process.communicate("\n", timeout=120)
    # Python notes signals that wait together in the order of their numbers.
    assert process.returncode in (128 + signal.SIGTERM, 128 + signal.SIGUSR1), output
    assert newest(parts / "checkpoints").name == "step-00000002"
    wait_for_end(workers)

    process, workers = start(WAITS_AT_A_STEP, parts, 3, *OPTIONS, "--resume", "auto")
    process.kill()
    process.communicate()
    wait_for_end(workers)

    pretrain(parts, *OPTIONS, "--resume", "auto")
    assert_equal_runs(whole, parts)


def test_a_process_that_fails_does_not_wait_for_its_workers():
    """multiprocessing ends them with SIGTERM when the interpreter exits, and waits for them."""
    process, workers = start(FAILS_WITH_WORKERS)
    process.communicate(timeout=60)
    assert process.returncode == 1
    wait_for_end(workers)


@pytest.fixture
def received():
    """What reaches the handlers that were there before."""
    found = []
    former = {number: signal.signal(number, lambda number, frame: found.append(number)) for number in STOP_SIGNALS}
    yield found
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_stop_signal_is_noted(received, number):
    with StopSignals() as signals:
        os.kill(os.getpid(), number)
        assert (signals.received, received) == (number, [])
    os.kill(os.getpid(), number)
    assert received == [number]


def test_sigusr1_saves_and_stops_a_run(tmp_path, monkeypatch, capsys):
    from tests.training.test_pretraining import interrupt_at

    interrupt_at(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGUSR1), 1)
    with pytest.raises(SystemExit) as stop:
        pretrain(tmp_path, *OPTIONS)
    assert stop.value.code == 128 + signal.SIGUSR1
    assert newest(tmp_path / "checkpoints").name == "step-00000002"


def test_a_second_signal_within_seconds_does_nothing_and_a_later_one_acts_as_usual(received, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signals_module.time, "monotonic", lambda: now[0])
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        now[0] += SECONDS_TO_SAVE
        os.kill(os.getpid(), signal.SIGINT)
        assert (signals.received, received) == (signal.SIGTERM, [])
        now[0] += 0.1
        os.kill(os.getpid(), signal.SIGINT)
        assert (signals.received, received) == (signal.SIGTERM, [signal.SIGINT])


def test_no_signals_are_prepared_where_there_are_no_workers():
    assert worker_signals(0) is None
    assert worker_signals(1) is worker_signals(2)
