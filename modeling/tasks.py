"""Tasks: how configurations hold them, and how the rows of a mixed batch are grouped by them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from transformers import PretrainedConfig

Tasks = Mapping[str, Sequence[str]]
"""The names of tasks and the labels of each, in the order of experts and heads."""


class S5TaskConfig(PretrainedConfig):
    """What the configurations of segmenters and detectors share: `tasks`.

    `config.tasks` is a dictionary in order, and takes one. config.json holds the same as a list of objects with
    `name`, `labels` and what else belongs to a task (`task_entries`), because transformers sorts the keys of every
    dictionary that it writes, and the order of the tasks is the order of the experts.
    """

    default_task: ClassVar[str]
    minimum_labels: ClassVar[int] = 1
    # Of an output, what is not a prediction: Trainer gathers the rest in an evaluation.
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["task_losses"]

    @property
    def num_labels(self) -> int:
        """The labels of all tasks together; those of one are `len(config.tasks[name])`."""
        if len(getattr(self, "_tasks", ())) > 1:
            return sum(len(labels) for labels in self._tasks.values())
        return PretrainedConfig.num_labels.fget(self)

    @num_labels.setter
    def num_labels(self, num_labels: int) -> None:
        if len(getattr(self, "_tasks", ())) > 1:
            raise ValueError(
                f"num_labels cannot be set to {num_labels}: there are several tasks ({', '.join(self._tasks)}), and "
                "each has its labels in config.tasks"
            )
        PretrainedConfig.num_labels.fset(self, num_labels)

    @property
    def tasks(self) -> dict[str, list[str]]:
        """Task names and their labels, in the order of experts and decoders."""
        if len(self._tasks) == 1:
            # With one task id2label is the truth, so that `from_pretrained(..., id2label=...)` means what it says.
            return {name: [self.id2label[index] for index in sorted(self.id2label)] for name in self._tasks}
        if self.id2label:
            raise ValueError(
                f"id2label was given, but there are several tasks ({', '.join(self._tasks)}): change `tasks` instead"
            )
        return {name: list(labels) for name, labels in self._tasks.items()}

    @tasks.setter
    def tasks(self, tasks: Tasks) -> None:
        if not isinstance(tasks, Mapping) or not all(map(is_named_task, tasks, tasks.values())):
            raise ValueError(f"tasks must map the name of each task to a list of its labels, got {tasks!r}")
        self._tasks = {name: list(labels) for name, labels in tasks.items()}
        self._check_tasks()
        # Several tasks have no common list of labels: `config.tasks` holds them, id2label stays empty.
        only = next(iter(self._tasks.values())) if len(self._tasks) == 1 else []
        self.id2label = dict(enumerate(only))
        self.label2id = {label: index for index, label in self.id2label.items()}

    @property
    def task_entries(self) -> list[dict[str, Any]]:
        """The tasks with everything that belongs to them, as config.json lists them: `name`, `labels` and more."""
        return [{"name": name, "labels": labels} for name, labels in self.tasks.items()]

    @task_entries.setter
    def task_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.tasks = labels_by_task(entries)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; `tasks` is `task_entries`."""
        output = super().to_dict()
        output.pop("_tasks", None)
        if isinstance(output.get("backbone_config"), dict):
            # How the backbone was loaded or saved by itself, which does not belong to the model.
            for note in ("architectures", "dtype", "_name_or_path"):
                output["backbone_config"].pop(note, None)
        output["tasks"] = self.task_entries
        return output

    def _start_tasks(self, tasks: Tasks | Sequence[Mapping[str, Any]] | None) -> None:
        """Take the tasks of a new configuration: a user's mapping, the entries of config.json, or one by default."""
        if tasks is None:
            self._tasks = {self.default_task: []}  # its labels are those of id2label
        elif isinstance(tasks, Mapping):
            self.tasks = tasks
        else:
            self.task_entries = tasks
        num_experts = getattr(self.backbone_config, "num_experts", 0)
        if num_experts not in (0, len(self._tasks)) and self.backbone_config.model_type == "s5_vit":
            raise ValueError(f"the backbone has {num_experts} experts but there are {len(self._tasks)} tasks")

    def _check_tasks(self) -> None:
        if not self._tasks:
            raise ValueError("tasks is empty; expected a mapping of a task's name to its labels")
        for name, labels in self._tasks.items():
            if len(labels) < self.minimum_labels:
                least = {1: "one label", 2: "two labels"}[self.minimum_labels]
                raise ValueError(f"task {name!r} needs at least {least}, got {labels}")
            if len(set(labels)) != len(labels):
                raise ValueError(f"task {name!r} repeats a label: {labels}")


def is_named_task(name: object, labels: object) -> bool:
    """Whether these can be the name of a task and its labels."""
    return isinstance(name, str) and isinstance(labels, Sequence) and not isinstance(labels, str)


def labels_by_task(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The mapping of tasks from the entries of config.json.

    Raises:
        ValueError: if they are not entries with names and labels, or two share a name.
    """
    if not isinstance(entries, Sequence) or not all(
        isinstance(entry, Mapping) and is_named_task(entry.get("name"), entry.get("labels")) for entry in entries
    ):
        raise ValueError(f"tasks must map the name of each task to a list of its labels, got {entries!r}")
    tasks = {entry["name"]: list(entry["labels"]) for entry in entries}
    if len(tasks) != len(entries):
        raise ValueError(f"two tasks share a name: {[entry['name'] for entry in entries]}")
    return tasks


@dataclass(frozen=True)
class TaskGroup:
    """Rows `start` to `stop` of the sorted batch belong to the task (or expert) number `index`."""

    index: int
    start: int
    stop: int


@dataclass(frozen=True)
class TaskGroups:
    """The groups of a mixed batch and the way from the batch's order to the sorted one (None where they agree).

    Rows are sorted by task, so that every expert and decoder works on one slice. A training loop that concatenates
    one batch per dataset gives sorted rows already, and then nothing is copied.
    """

    groups: tuple[TaskGroup, ...]
    order: tuple[int, ...] | None = None

    def __iter__(self) -> Iterator[TaskGroup]:
        return iter(self.groups)

    def rows(self, group: TaskGroup) -> list[int]:
        """The places of a group's rows in the batch."""
        places = range(group.start, group.stop)
        return list(places if self.order is None else self.order[group.start : group.stop])

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
