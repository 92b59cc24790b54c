"""Configuration of the S5 change detector."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PretrainedConfig

from .change_classes import CHANGE_LABELS, from_to_labels
from .configuration_s5 import S5SegmentationConfig
from .tasks import Tasks


class S5ChangeDetectionConfig(S5SegmentationConfig):
    """Configuration of [`S5ForChangeDetection`]: one backbone for both dates, one decoder and head per task.

    Args:
        backbone_config: as [`S5SegmentationConfig`] takes it.
        tasks: ordered mapping of a task's name to its classes of changes, the first of which means unchanged; by
            default one task with `unchanged` and `changed`.
        date_classes: for tasks that also say from what to what: the classes of a date. The labels of such a task are
            `from_to_labels` of them.
        **kwargs: what a segmenter's configuration takes, except `teachers`.

    Raises:
        ValueError: for teachers, or a task with date classes that has other labels.
    """

    model_type = "s5_change_detection"
    default_task = "change"

    def __init__(
        self,
        backbone_config: PretrainedConfig | dict[str, Any] | None = None,
        tasks: Tasks | None = None,
        date_classes: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        self.date_classes = {name: list(classes) for name, classes in (date_classes or {}).items()}
        if tasks is None and not {"id2label", "num_labels"} & set(kwargs):
            tasks = {self.default_task: CHANGE_LABELS}
        super().__init__(backbone_config=backbone_config, tasks=tasks, **kwargs)
        if self.teachers:
            raise ValueError("a change detector has no frozen teachers; they are fused into the maps of single images")
        for name, classes in self.date_classes.items():
            if self.tasks.get(name) != from_to_labels(classes):
                raise ValueError(
                    f"the task {name!r} has the classes {', '.join(classes)} at each date, so its labels must be "
                    f"from_to_labels of these; they are {', '.join(self.tasks.get(name, ()))}"
                )

    @property
    def task_entries(self) -> list[dict[str, Any]]:
        """As in [`S5SegmentationConfig`], and `date_classes` where a task has them."""
        entries = S5SegmentationConfig.task_entries.fget(self)
        known = self.date_classes
        return [
            {**entry, **({"date_classes": known[entry["name"]]} if entry["name"] in known else {})}
            for entry in entries
        ]

    @task_entries.setter
    def task_entries(self, entries: Sequence[Mapping[str, Any]]) -> None:
        S5SegmentationConfig.task_entries.fset(self, entries)
        self.date_classes = {entry["name"]: entry["date_classes"] for entry in entries if entry.get("date_classes")}

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data; what belongs to a task is in its entry of `tasks`."""
        output = super().to_dict()
        output.pop("date_classes", None)
        return output


__all__ = ["S5ChangeDetectionConfig"]
