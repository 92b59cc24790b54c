"""Comparisons of what is equal in mathematics but need not be in bits."""

import torch

ROUNDINGS = 64


def assert_equal_but_for_rounding(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to 64 roundings of the largest value: 8e-6 of it in float32, 1e-14 in float64.

    Two orders of a sum of n terms differ by about sqrt(n) roundings of the largest partial sum, and a network chains a
    few dozen of them. Which order a matrix library takes depends on the processor, the number of threads, the shapes
    and even on the addresses of the operands, so bits are equal by chance only. Rounding is relative to the terms and
    not to the sum: an element near zero is as far off as its neighbours, so the largest value gives the scale. What is
    wrong, such as a swapped expert or a lost bias, is off by thousands of times more.

    Args:
        actual, expected: of the same shape and the same floating type.
    """
    assert actual.dtype == expected.dtype
    tolerance = ROUNDINGS * torch.finfo(expected.dtype).eps * expected.detach().abs().max().item()
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)
