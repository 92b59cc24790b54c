"""Configurations with tasks: an ordered mapping of a task's name to its labels, kept in order through config.json."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from transformers import PretrainedConfig

Tasks = Mapping[str, Sequence[str]] | Sequence[Mapping[str, Any]]


def require_tasks(tasks: object) -> None:
    """Raise a ValueError for what cannot be read as tasks."""
    if isinstance(tasks, Mapping):
        named = list(tasks.items())
    elif isinstance(tasks, Sequence) and all(isinstance(task, Mapping) for task in tasks):
        named = [(task.get("name"), task.get("labels")) for task in tasks]
    else:
        named = [(None, None)]
    for name, labels in named:
        if not isinstance(name, str) or isinstance(labels, str) or not isinstance(labels, Sequence):
            raise ValueError(f"tasks must map the name of each task to a list of its labels, got {tasks!r}")


class S5TaskConfig(PretrainedConfig):
    """What the configurations of segmenters and detectors share: `tasks`.

    In memory `config.tasks` is a dictionary; in config.json it is a list, because JSON written by transformers sorts
    the keys of a dictionary and the order of the tasks is the order of the experts.
    """

    minimum_labels: ClassVar[int] = 1
    # Of an output, what is no prediction: Trainer gathers the rest in an evaluation.
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
        require_tasks(tasks)
        if isinstance(tasks, Mapping):
            self._tasks = {name: list(labels) for name, labels in tasks.items()}
        else:
            self._tasks = {task["name"]: list(task["labels"]) for task in tasks}
            if len(self._tasks) != len(tasks):
                raise ValueError(f"two tasks share a name: {[task['name'] for task in tasks]}")
            self._read_task_settings(tasks)
        self._check_tasks()
        # Several tasks have no common list of labels: `config.tasks` holds them, id2label stays empty.
        only = next(iter(self._tasks.values())) if len(self._tasks) == 1 else []
        self.id2label = dict(enumerate(only))
        self.label2id = {label: index for index, label in self.id2label.items()}

    def task_settings(self, task: str) -> dict[str, Any]:
        """Name, labels and further settings of one task: an entry of the list that `tasks` takes."""
        return {"name": task, "labels": self.tasks[task]}

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; `tasks` becomes a list."""
        output = super().to_dict()
        output.pop("_tasks", None)
        if isinstance(output.get("backbone_config"), dict):
            # How the backbone was loaded or saved by itself, which is no part of the model.
            for note in ("architectures", "dtype", "_name_or_path"):
                output["backbone_config"].pop(note, None)
        output["tasks"] = [self.task_settings(name) for name in self._tasks]
        return output

    def _read_task_settings(self, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Take what a list of tasks says beyond names and labels."""

    def _check_tasks(self) -> None:
        if not self._tasks:
            raise ValueError("tasks is empty; expected a mapping of a task's name to its labels")
        for name, labels in self._tasks.items():
            if len(labels) < self.minimum_labels:
                least = {1: "one label", 2: "two labels"}[self.minimum_labels]
                raise ValueError(f"task {name!r} needs at least {least}, got {labels}")
            if len(set(labels)) != len(labels):
                raise ValueError(f"task {name!r} repeats a label: {labels}")

    def _check_experts(self) -> None:
        num_experts = getattr(self.backbone_config, "num_experts", 0)
        if num_experts not in (0, len(self._tasks)) and self.backbone_config.model_type == "s5_vit":
            raise ValueError(f"the backbone has {num_experts} experts but there are {len(self._tasks)} tasks")
