"""Mixed-task batches: rows sorted by task, so that every expert and decoder works on one slice.

A training loop that concatenates one batch per dataset gives sorted rows already, and then nothing is copied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TaskGroup:
    """Rows `start` to `stop` of the sorted batch belong to the task (or expert) number `index`."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class TaskGroups:
    """The groups of a batch and the way from the batch's order to the sorted one (None where they agree)."""

    groups: tuple[TaskGroup, ...]
    order: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[TaskGroup]:
        return iter(self.groups)

    def sort(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows in the batch's order to sorted rows."""
        return rows if self.order is None else rows[torch.tensor(self.order, device=rows.device)]

    def restore(self, rows: torch.Tensor) -> torch.Tensor:
        """Sorted rows back to the batch's order."""
        if self.order is None:
            return rows
        return rows[torch.argsort(torch.tensor(self.order, device=rows.device))]

    def restore_all(self, tensors: Sequence[torch.Tensor] | None) -> tuple[torch.Tensor, ...] | None:
        """`restore` on each of several tensors, or None."""
        return None if tensors is None else tuple(self.restore(tensor) for tensor in tensors)


def group_rows(index: int | Sequence[int] | torch.Tensor | None, batch_size: int, count: int) -> TaskGroups:
    """Group the rows of a batch by the number of their task.

    Args:
        index: one number for the whole batch, or one per row; None means 0 where there is nothing to choose.
        batch_size: number of rows.
        count: how many tasks (experts) there are; 0 stands for a dense model, which takes no index.

    Raises:
        ValueError: if an index is missing, given to a dense model, out of range, or not one per row.
    """
    if isinstance(index, torch.Tensor):
        index = index.tolist()
    if count == 0 and index is not None:
        raise ValueError(f"the model is dense and takes no expert_index, got {index}")
    if index is None:
        if count > 1:
            raise ValueError(f"the model has {count} experts: give expert_index, one number for all or one per image")
        index = 0
    if isinstance(index, int):
        check_index(index, count)
        return TaskGroups((TaskGroup(index, 0, batch_size),))
    if len(index) != batch_size:
        raise ValueError(f"got {len(index)} indices for a batch of {batch_size} images")
    for value in index:
        check_index(value, count)
    order = sorted(range(batch_size), key=index.__getitem__)
    groups = []
    start = 0
    for value in sorted(set(index)):
        stop = start + list(index).count(value)
        groups.append(TaskGroup(value, start, stop))
        start = stop
    return TaskGroups(tuple(groups), None if order == list(range(batch_size)) else tuple(order))


def check_index(index: int, count: int) -> None:
    """Raise a ValueError unless `index` names one of `count` tasks (a dense model has the one task 0)."""
    if not 0 <= index < max(count, 1):
        raise ValueError(f"expert {index} does not exist: the model has {count} experts, numbered from 0")
