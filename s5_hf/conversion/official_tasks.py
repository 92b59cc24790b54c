"""The tasks of the official checkpoints; labels and ignored values come from the dataset registry."""

from ..dataset_builders.registry import REGISTRY

# In the order of the experts in the official MoE-MDF checkpoints.
MOE_MDF_TASKS = ("vaihingen", "potsdam", "openearthmap", "loveda")
PRETRAINING_TASK = "isaid"
# In the order of the experts in the official detectors, with the names of their datasets here.
DETECTION_TASKS = {"dior": "s5-dior-r", "dota": "s5-dota"}


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


def detection_task_settings(name: str, num_labels: int | None = None) -> dict[str, object]:
    """Name and labels of a detection task, as `S5DetectionConfig` takes them.

    Args:
        name: an official name (`dior`, `dota`) or any other.
        num_labels: number of classes the checkpoint has; where the official list is of another length, or there is
            none, the labels are numbered. May be left out for an official name.
    """
    labels = REGISTRY[DETECTION_TASKS[name]].labels if name in DETECTION_TASKS else ()
    if labels and num_labels in (None, len(labels)):
        return {"name": name, "labels": list(labels)}
    if num_labels is None:
        raise ValueError(f"{name!r} is no official detection task, so its number of labels must be given")
    return {"name": name, "labels": [f"class_{index}" for index in range(num_labels)]}
