"""Programs of this package keep the memory that they free, where the C library is glibc and nobody chose otherwise."""

import json
import os
import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import json, resource, sys
from s5_hf.freed_memory import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "kept" else None
def fill():
    block = bytearray(30 * 2**20)
    return len(block)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def run(word, **settings):
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_PRE"))}
    command = [sys.executable, "-c", COUNT_FAULTS, word]
    return json.loads(subprocess.run(command, env={**own, **settings}, check=True, capture_output=True).stdout)


@glibc
def test_freed_memory_is_used_again():
    (kept, again), (_, anew) = run("kept"), run("as it comes")
    pages = 10 * 30 * 2**20 // os.sysconf("SC_PAGESIZE")
    assert kept is True and again < pages / 10 and again < anew


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_settings_of_the_environment_are_left_alone(name):
    assert run("kept", **{name: ""})[0] is False


def test_another_c_library_is_left_alone(monkeypatch):
    from s5_hf import freed_memory

    for name in [name for name in os.environ if name.startswith(freed_memory._CHOSEN_BY_USER)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda name: object())
    assert freed_memory.keep_freed_memory() is False
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", None)
    assert freed_memory.keep_freed_memory() is False
