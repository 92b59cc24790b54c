"""The segmentation tasks of the official checkpoints; labels and ignored values come from the dataset registry."""

from .dataset_builders.registry import REGISTRY

# In the order of the experts in the official MoE-MDF checkpoints.
MOE_MDF_TASKS = ("vaihingen", "potsdam", "openearthmap", "loveda")
PRETRAINING_TASK = "isaid"


def task_settings(name: str, num_labels: int | None = None) -> dict[str, object]:
    """Name, labels and ignore index of a task, as `S5SegmentationConfig` takes them.

    Args:
        name: an official name, such as `loveda`, or any other.
        num_labels: number of classes the checkpoint has; where the official list is of another length, or there is
            none, the labels are numbered. May be left out for an official name.
    """
    entry = REGISTRY.get(f"s5-{name}")
    if entry is not None and entry.labels and num_labels in (None, len(entry.labels)):
        return {"name": name, "labels": list(entry.labels), "ignore_index": entry.ignore_index}
    if num_labels is None:
        raise ValueError(f"{name!r} is no official task, so its number of labels must be given")
    return {"name": name, "labels": [f"class_{index}" for index in range(num_labels)], "ignore_index": 255}
