"""The job scripts of docs/cluster.md: the state is saved on the signal, and the job asks for its requeue."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from s5_hf.recipes import find_recipe, shipped_recipes
from s5_hf.scripts import with_dashes
from s5_hf.training import PretrainingRecipe
from s5_hf.training.checkpointing.checkpoints import newest
from s5_hf.training.checkpointing.division import other_division
from s5_hf.training.programs import PROGRAMS
from s5_hf.training.run_folder import read_log
from tests.fresh_process import start_processes
from tests.training.pretraining import REPOSITORY

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("pgrep"), reason="the job scripts need bash and pgrep"
)

TRAINING = re.compile(r"-m s5_hf\.training s4p .*?--resume auto", re.DOTALL)
ONE_NODE, SEVERAL_NODES = "One node", "Several nodes"


def page_script(heading):
    """The script below a heading of the page."""
    page = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")
    return re.search(rf"^## {heading}\n.*?```bash\n(.*?)```", page, re.DOTALL | re.MULTILINE)[1]


def replaced(script, *pairs):
    """A script with patterns replaced, each of which is in it once."""
    for pattern, text in pairs:
        script, count = re.subn(pattern, lambda found, text=text: text, script, flags=re.DOTALL)
        assert count == 1, f"{pattern} is {count} times in\n{script}"
    return script


class Job:
    """A script that runs with stand-ins for the commands of a cluster."""

    def __init__(self, folder, script, **commands):
        self.folder, self.requeued = folder, folder / "requeued"
        scontrol = f"if [ $1 = requeue ]; then echo $2 >> {shlex.quote(str(self.requeued))}; else echo 127.0.0.1; fi"
        for name, code in {"scontrol": scontrol, **commands}.items():
            path = folder / name
            path.write_text(f"#!/bin/bash\n{code}\n", encoding="utf-8")
            path.chmod(0o755)
        variables = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "42", "SLURM_JOB_NODELIST": "n[1-2]"}
        self.process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=REPOSITORY,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def processes(self):
        """Number of each process of the training once both make steps, with its local rank."""
        files = [self.folder / f"process-{rank}" for rank in range(2)]
        wait_until(lambda: all(path.is_file() and path.read_text() for path in files), self.process.poll)
        return [[int(word) for word in path.read_text().split()] for path in files]

    def end(self):
        """Exit status, output, and the jobs that are to be requeued."""
        output, _ = self.process.communicate(timeout=60)
        requeued = self.requeued.read_text().split() if self.requeued.exists() else []
        return self.process.returncode, output, requeued


def wait_until(reached, ended=lambda: None, seconds=60):
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until and ended() is None
        time.sleep(0.05)


def test_on_one_node_the_processes_get_the_signal_through_the_launcher_and_the_job_is_requeued(tmp_path):
    launched = f"-m tests.training.launched {shlex.quote(str(tmp_path))}"
    script = replaced(
        page_script(ONE_NODE),
        (r"--num_processes 8", "--multi_gpu --num_processes 2 --main_process_port 0"),
        (TRAINING.pattern, launched),
    )
    accelerate = f'exec {shlex.quote(sys.executable)} -m accelerate.commands.accelerate_cli "$@"'
    job = Job(tmp_path, script, accelerate=accelerate)
    processes = [process for process, _ in job.processes()]
    job.process.send_signal(signal.SIGUSR1)
    code, output, requeued = job.end()
    assert (tmp_path / "saved").exists() and requeued == ["42"], output
    assert code == 1 and f"exitcode  : {128 + signal.SIGUSR1}" in output  # that of the launcher, and of a process
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_that_ends_by_itself_is_not_requeued(tmp_path, code):
    job = Job(tmp_path, page_script(ONE_NODE), accelerate=f"exit {code}")
    assert job.end() == (code, "", [])


def test_a_job_whose_training_ends_well_after_the_signal_is_not_requeued(tmp_path):
    """The launcher is a shell here, with one process of the training that has nothing left to save."""
    waits = f"trap 'exit 0' USR1; touch {shlex.quote(str(tmp_path / 'ready'))}; while :; do sleep 0.05; done"
    job = Job(tmp_path, page_script(ONE_NODE), accelerate=f"bash -c {shlex.quote(waits)} & wait $!")
    wait_until((tmp_path / "ready").exists, job.process.poll)
    job.process.send_signal(signal.SIGUSR1)
    assert job.end() == (0, "", [])


SRUN = """
while [[ $1 == --* ]]; do shift; done
for rank in 0 1; do SLURM_PROCID=$rank SLURM_LOCALID=$rank SLURM_NTASKS=2 "$@" & tasks+=($!); done
for task in ${tasks[@]}; do wait $task; code=$?; [ $code -gt ${highest:-0} ] && highest=$code; done
exit ${highest:-0}
"""
TASK = """
import os, signal, sys, time
from pathlib import Path
from s5_hf.training.signals import StopSignals

signal.alarm(120)  # a test that fails leaves it alone
with StopSignals() as signals:
    rank = os.environ["RANK"]
    words = [os.environ[name] for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")]
    (Path(sys.argv[1]) / f"words-{rank}").write_text(" ".join([*words, *sys.argv[2:]]))
    (Path(sys.argv[1]) / f"process-{rank}").write_text(f"{os.getpid()} {os.environ['LOCAL_RANK']}")
    while not signals.received:
        time.sleep(0.02)
sys.exit(128 + signals.received)
"""


def test_on_several_nodes_slurm_tells_each_process_its_place_and_the_job_is_requeued(tmp_path):
    (tmp_path / "task.py").write_text(TASK, encoding="utf-8")
    words = [sys.executable, str(tmp_path / "task.py"), str(tmp_path)]
    python = f'PYTHONPATH={shlex.quote(str(REPOSITORY))} exec {shlex.join(words)} "$@"'
    job = Job(tmp_path, page_script(SEVERAL_NODES), srun=SRUN, python=python)
    processes = job.processes()
    assert [local_rank for _, local_rank in processes] == [0, 1]
    for rank in range(2):
        found = (tmp_path / f"words-{rank}").read_text().split()
        assert found[:4] == ["2", "127.0.0.1", "29500", "1"]
        assert found[4:8] == ["-m", "s5_hf.training", "s4p", "s4p_vit_l"] and found[-2:] == ["--resume", "auto"]
    for process, _ in processes:  # the number is that of the task itself, which bash was before
        os.kill(process, signal.SIGUSR1)
    code, output, requeued = job.end()
    assert (code, requeued) == (128 + signal.SIGUSR1, ["42"]), output


RUNS = """
import sys
from pathlib import Path
from tests.training.pretraining import HALVES, pretrain

once = ("--method", "supervised", "--total_steps", "100000", "--checkpoint_steps", "100000")
pretrain(Path(sys.argv[1]), *HALVES, *once, "--validation_steps", "0")
"""


def test_processes_that_are_told_their_place_save_on_the_signal_and_end_with_its_number(tmp_path):
    processes = start_processes(2, RUNS, tmp_path)
    try:
        wait_until(lambda: (tmp_path / "log.jsonl").exists() and read_log(tmp_path))
        for process in processes:
            process.send_signal(signal.SIGUSR1)
    finally:
        outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [128 + signal.SIGUSR1] * 2, outputs
    last = read_log(tmp_path)[-1]["step"]
    assert newest(tmp_path / "checkpoints").name == f"step-{last:08d}"


STREAMS = "\nstreaming: true\n"
NEEDED = {"s4p": ["--labelled-dir", "x", "--encoder", "none"]}


def test_the_page_says_which_published_runs_may_move_to_another_number_of_gpus():
    page = (REPOSITORY / "docs" / "cluster.md").read_text(encoding="utf-8")
    lines = re.findall(
        r"^accelerate launch --num_processes (\d) -m s5_hf\.training s4p (\w+) \.\.\. (.*)$", page, re.M
    )
    assert [int(count) for count, _, _ in lines] == [8, 2]
    began, resumed = (
        PretrainingRecipe.read([str(find_recipe(name, "s4p")), *NEEDED["s4p"], *with_dashes(words.split())])
        for _, name, words in lines
    )
    assert other_division(began.to_dict(), 8, resumed, 2) is None
    assert "other images" in other_division(began.to_dict(), 8, began, 2)
    (listed,) = re.findall(r"published recipes of ([^.]*) stream\.", page)
    streams = {name for name in PROGRAMS for recipe in shipped_recipes(name) if STREAMS in recipe.path.read_text()}
    assert set(re.findall(r"`(\w+)`", listed)) == streams
    for name in streams:
        recipe = PROGRAMS[name].recipe.read([str(find_recipe(f"{name}_vit_b", name)), *NEEDED.get(name, [])])
        assert other_division(recipe.to_dict(), 8, recipe, 2).startswith("a streamed dataset is divided")
