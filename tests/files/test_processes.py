"""Where the processes of a launcher meet."""

import pytest
import torch

from s5_hf.files.processes import share_processor


@pytest.mark.parametrize(
    ("processes", "told", "has_gpu", "expected"),
    [(2, None, False, True), (2, None, True, False), (1, None, False, False), (1, "true", True, True)],
)
def test_processes_without_a_gpu_meet_on_the_processor_told_or_not(monkeypatch, processes, told, has_gpu, expected):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    if told:
        monkeypatch.setenv("ACCELERATE_USE_CPU", told)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_gpu)
    assert share_processor() is expected
