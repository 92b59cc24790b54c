import pytest

from s5_hf.training import throughput
from s5_hf.training.throughput import Throughput, forward_flops, step_flops


def test_rates(monkeypatch):
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    values = Throughput(images_per_step=8, flops_per_step=50.0, peak_flops=100.0).measure(steps=2)
    assert values == {"seconds_per_step": 2.0, "images_per_second": 4.0, "mfu": 0.25}


def test_validation_and_saving_do_not_count(monkeypatch):
    clock = iter([10.0, 12.0, 17.0, 19.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    rates = Throughput(images_per_step=8)
    with rates.paused():
        pass
    assert rates.measure(steps=4) == {"seconds_per_step": 1.0, "images_per_second": 8.0}


def test_flops_of_a_step():
    assert step_flops(2.0, labelled=3, strong=4, weak=5) == 2.0 * (3 * 7 + 5)


def test_flops_grow_with_the_tokens(dense_model):
    small, large = forward_flops(dense_model, 64), forward_flops(dense_model, 128)
    assert large == pytest.approx(4 * small, rel=0.2)
    fc1 = 2 * 16 * 32 * 128  # one of the multiplications that must be in it: tokens x width x inner width
    assert small > 4 * 2 * fc1
