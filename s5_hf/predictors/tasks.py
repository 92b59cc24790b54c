"""Which of its tasks a model is used for, chosen in one place."""

from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from ..modeling import S5ForOrientedObjectDetection, S5ForSemanticSegmentation

__all__ = ["choose_task", "has_tasks", "task_labels"]


def choose_task(tasks: Mapping[str, Sequence[str]], task: str | None, option: str = "task=... or --task") -> str:
    """The task asked for, or the only one.

    Args:
        tasks: of the model, by name.
        task: the one asked for.
        option: how a task is given, for the message.

    Raises:
        ValueError: the task is missing or unknown; the message lists the tasks.
    """
    if task is None and len(tasks) > 1:
        raise ValueError(f"the model has several tasks, choose one with {option}: {', '.join(tasks)}")
    if task is not None and task not in tasks:
        raise ValueError(f"the model has no task {task!r}; its tasks: {', '.join(tasks)}")
    return next(iter(tasks)) if task is None else task


def has_tasks(model: PreTrainedModel) -> bool:
    """Whether a model is one of this package, with named tasks."""
    return isinstance(model, (S5ForSemanticSegmentation, S5ForOrientedObjectDetection))


def task_labels(model: PreTrainedModel, task: str | None) -> tuple[str, ...]:
    """The class names of a model's task.

    Raises:
        ValueError: as `choose_task`, or a task is given for a model without tasks.
    """
    if has_tasks(model):
        return tuple(model.config.tasks[choose_task(model.config.tasks, task)])
    if task is not None:
        raise ValueError(f"task {task!r} was given, but {type(model).__name__} has no tasks")
    return tuple(model.config.id2label[index] for index in range(model.config.num_labels))
