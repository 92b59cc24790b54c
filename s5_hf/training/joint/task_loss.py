"""How the losses of the tasks enter their sum."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TaskLoss:
    """How the loss of a task enters the sum.

    Attributes:
        weight: factor.
        from_epoch: epoch, counted from 0, in which it begins to count. Until then the gradients of the task's own
            layers are 0: weight decay shrinks them and their batch norm statistics follow the images, as officially.
        class_weights: float `(classes,)`, `None` for equal ones.
    """

    weight: float = 1.0
    from_epoch: int = 0
    class_weights: torch.Tensor | None = None

    def weight_at(self, epoch: int) -> float:
        """The factor in an epoch."""
        return self.weight if epoch >= self.from_epoch else 0.0
