import pytest
import torch

from tests.numerics import assert_equal_but_for_rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_orders_of_a_sum_are_equal_and_a_lost_term_is_not(dtype):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=generator, dtype=dtype) for shape in ((8, 512), (512, 8)))
    order = torch.randperm(512, generator=generator)
    assert_equal_but_for_rounding(left[:, order] @ right[order], left @ right)
    with pytest.raises(AssertionError):
        assert_equal_but_for_rounding(left[:, :-1] @ right[:-1], left @ right)
    with pytest.raises(AssertionError):
        assert_equal_but_for_rounding((left @ right) * (1 + 200 * torch.finfo(dtype).eps), left @ right)
