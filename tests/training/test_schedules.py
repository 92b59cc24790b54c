import math

import pytest
import torch

from s5_hf.training.schedules import learning_rate_factor, set_learning_rate


def test_cosine_falls_from_one_to_zero():
    factors = [learning_rate_factor("cosine", step, 10) for step in range(11)]
    assert factors == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(11)])
    assert factors[0] == 1 and factors[10] == pytest.approx(0)


def test_poly():
    assert learning_rate_factor("poly", 5, 10) == pytest.approx(0.5**0.9)


def test_warm_up_is_linear_and_the_schedule_follows():
    factors = [learning_rate_factor("poly", step, 14, warmup_steps=4) for step in range(6)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 0.9**0.9])


def test_groups_keep_their_proportions():
    weight = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [w], "initial_lr": rate} for w, rate in zip(weight, (1.0, 0.1), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    assert set_learning_rate(optimizer, 0.5) == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]


def test_bad_schedules():
    with pytest.raises(ValueError, match="unknown schedule 'linear'; known schedules: cosine, poly, constant"):
        learning_rate_factor("linear", 0, 10)
    with pytest.raises(ValueError, match="between 0 and total_steps - 1 = 9, got 10"):
        learning_rate_factor("cosine", 0, 10, warmup_steps=10)
