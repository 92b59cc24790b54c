"""One run at a time in a folder."""

import subprocess
import sys
import time

import pytest

from s5_hf.files.locks import LOCK_FILE, folder_lock

HOLD = """
import sys, time
from s5_hf.files.locks import folder_lock
with folder_lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_of_two_processes_is_refused_by_name(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            begin = time.monotonic()
            with pytest.raises(BlockingIOError, match="run is in use by another run"), folder_lock(tmp_path / "run"):
                pytest.fail("both have it")
            assert time.monotonic() - begin < 5
        finally:
            other.kill()
    with folder_lock(tmp_path / "run"):  # what a killed run leaves is no obstacle
        assert (tmp_path / "run" / LOCK_FILE).exists()
    assert list((tmp_path / "run").iterdir()) == []


def test_the_lock_ends_with_an_error(tmp_path):
    with pytest.raises(RuntimeError), folder_lock(tmp_path):
        raise RuntimeError("stopped")
    with folder_lock(tmp_path):
        pass
