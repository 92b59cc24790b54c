"""Trainings in processes of their own: the command of a step, how it ends, and how a signal ends it."""

import os
import signal
import sys
import threading
import time

import pytest

from s5_hf.project import commands, read_project
from s5_hf.project.commands import CommandStopped, run_command
from s5_hf.project.steps import project_steps

WAITS = "import time; time.sleep(60)"


def test_trainings_are_launched_and_other_steps_are_not(write):
    write(launcher={"processes": 4, "options": {"mixed-precision": "bf16", "same-network": True}})
    by_part = {step.part: step.command for step in project_steps(read_project("project.yaml"))}
    for part, kind in (("first", "segmentation"), ("pretrain", "s4p"), ("finetune", "segmentation")):
        assert by_part[part] == (
            "accelerate launch --num_processes 4 --mixed-precision bf16 --same-network "
            f"-m s5_hf.training {kind} work/recipes/{part}.yaml"
        )
    assert by_part["curate"].startswith("s5-hf curate run") and by_part["maps"].startswith("s5-hf view")
    write(launcher=2)
    (first, *_) = project_steps(read_project("project.yaml"))
    assert first.words[:4] == ("accelerate", "launch", "--num_processes", "2")


@pytest.fixture
def launched(monkeypatch):
    """`accelerate launch -c CODE` runs the code with Python."""
    popen = commands.subprocess.Popen
    made = []

    def start(command, **options):
        assert command[:4] == [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
        made.append(popen([sys.executable, *command[4:]], **options))
        return made[-1]

    monkeypatch.setattr(commands.subprocess, "Popen", start)
    return made


def test_a_launched_command_ends_well_or_with_its_status(launched):
    run_command(["accelerate", "launch", "-c", "pass"])
    with pytest.raises(RuntimeError, match=r"accelerate launch -c \.\.\. ended with status 3"):
        run_command(["accelerate", "launch", "-c", "raise SystemExit(3)"])


def test_a_signal_ends_the_launched_processes_and_is_told(launched):
    def stop():
        while not launched:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(CommandStopped) as stopped:
        run_command(["accelerate", "launch", "-c", WAITS])
    thread.join()
    assert stopped.value.status == 128 + signal.SIGTERM and launched[0].returncode == -signal.SIGTERM
