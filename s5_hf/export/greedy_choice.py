"""The greedy choice of non-maximum suppression as a loop that a graph can hold."""

import torch
from torch import Tensor
from torch._higher_order_ops import while_loop

__all__ = ["keep_greedily"]


def keep_greedily(conflicts: Tensor, exists: Tensor) -> Tensor:
    """Which boxes of each image are kept: those that conflict with no kept one before them.

    The rule has one solution, and repeating it from any start reaches it: after n rounds at least the first n entries
    are right, and in practice the chains of suppression are short.

    Args:
        conflicts: bool `(batch, n, n)`, symmetric; boxes are ordered best first.
        exists: bool `(batch, n)`; the others are neither kept nor suppress any.

    Returns:
        bool `(batch, n)`.
    """
    before = torch.arange(exists.shape[1], device=exists.device)
    # A product of matrices counts the conflicts with kept boxes; whole numbers of this size are exact in float32.
    earlier = (conflicts & (before[:, None] > before)).float()

    def changed(kept: Tensor, previous: Tensor) -> Tensor:
        return (kept != previous).any()

    def settle(kept: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        suppressed = (earlier @ kept.float()[..., None]).squeeze(-1) > 0
        return exists & ~suppressed, kept.clone()

    return while_loop(changed, settle, (exists.clone(), torch.zeros_like(exists)))[0]
