"""Two trainings in one folder: the second is refused, whoever it is, and nothing of it stays."""

import json
import os
import signal
import subprocess
import sys

import pytest

from s5_hf.files import locks
from s5_hf.files.locks import LOCK_FILE, FolderInUseError, folder_lock
from s5_hf.training.run_lock import locked_folder
from tests.training.finetuning import finetune
from tests.training.pretraining import REPOSITORY, example, pretrain
from tests.training.test_pretrain_mae import run as pretrain_mae

HOLDER = """
import os, sys, time
from pathlib import Path
from s5_hf.files.locks import folder_lock
with folder_lock(Path(sys.argv[1])):
    worker = os.fork() if hasattr(os, "fork") else None
    if worker == 0:
        os.closerange(0, 3)
        time.sleep(300)
        os._exit(0)
    print(worker, flush=True)
    time.sleep(300)
"""


def test_a_second_training_in_one_folder_is_refused_until_the_first_is_dead(tmp_path):
    """Three kinds of training against one other process, which is then killed while a worker of it lives on."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    worker = other.stdout.readline().strip()
    try:
        for train in (pretrain, finetune, pretrain_mae):
            with pytest.raises(FolderInUseError, match=rf"is in use by another run: process {other.pid} on \S+"):
                train(tmp_path / "run")
        assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK_FILE]
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    try:
        with folder_lock(tmp_path / "run"):
            holder = json.loads((tmp_path / "run" / LOCK_FILE).read_text(encoding="utf-8"))
            assert holder["process"] == os.getpid()
    finally:
        if worker.isdigit():
            os.kill(int(worker), signal.SIGKILL)


def test_a_second_lock_in_the_same_process_is_refused(tmp_path):
    with (
        folder_lock(tmp_path),
        pytest.raises(FolderInUseError, match=f"process {os.getpid()} on"),
        folder_lock(tmp_path),
    ):
        pass


def test_a_folder_that_stays_empty_is_removed_again(tmp_path):
    with locked_folder(tmp_path / "runs" / "first"):
        pass
    assert list(tmp_path.iterdir()) == []
    with locked_folder(tmp_path / "runs" / "first"):
        (tmp_path / "runs" / "first" / "kept").touch()
    assert [path.name for path in (tmp_path / "runs" / "first").iterdir()] == ["kept"]


def test_a_file_system_without_locks_is_warned_about(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "lock_file", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"), folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("train", [pretrain, finetune, pretrain_mae])
def test_a_refused_option_leaves_no_folder(tmp_path, train):
    with pytest.raises(ValueError, match="num_workers must not be negative, got -1"):
        train(tmp_path / "run", "--num_workers", "-1")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_does_not_fit_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="crop_size 60 is not a multiple"):
        pretrain(tmp_path / "runs" / "first", "--crop_size", "60")
    assert list(tmp_path.iterdir()) == []


def test_the_detection_recipe_refuses_negative_workers(tmp_path):
    words = ("--mode", "sdf", "--datasets", "ships", "--num_workers", "-1", "--output_dir", str(tmp_path / "run"))
    with pytest.raises(ValueError, match="num_workers must not be negative, got -1"):
        example("finetune_detection").main(words)
    assert list(tmp_path.iterdir()) == []
