"""The tasks of the official checkpoints; labels and ignored values come from the dataset registry."""

from ..dataset_builders.registry import REGISTRY

# In the order of the experts in the official MoE-MDF checkpoints.
MOE_MDF_TASKS = ("vaihingen", "potsdam", "openearthmap", "loveda")
PRETRAINING_TASK = "isaid"
# In the order of the experts in the official detectors, with the names of their datasets here.
DETECTION_TASKS = {"dior": "s5-dior-r", "dota": "s5-dota"}


def task_settings(name: str, num_labels: int | None = None) -> dict[str, object]:
    """Name, labels and ignore index of a segmentation task, as an entry of `tasks` in config.json.

    Args:
        name: an official name, such as `loveda`, or any other.
        num_labels: number of classes the checkpoint has; where the official list is of another length, or there is
            none, the labels are numbered. May be left out for an official name.
    """
    entry = REGISTRY.get(f"s5-{name}")
    official = entry is not None and bool(entry.labels) and num_labels in (None, len(entry.labels))
    labels = entry.labels if official else numbered_labels(name, num_labels)
    return {"name": name, "labels": list(labels), "ignore_index": entry.ignore_index if official else 255}


def detection_task_settings(name: str, num_labels: int | None = None) -> dict[str, object]:
    """Name and labels of a detection task, as an entry of `tasks` in config.json; arguments as in `task_settings`."""
    labels = REGISTRY[DETECTION_TASKS[name]].labels if name in DETECTION_TASKS else ()
    if not labels or num_labels not in (None, len(labels)):
        labels = numbered_labels(name, num_labels)
    return {"name": name, "labels": list(labels)}


def numbered_labels(name: str, num_labels: int | None) -> list[str]:
    """Labels for classes without names.

    Raises:
        ValueError: if nobody says how many there are.
    """
    if num_labels is None:
        raise ValueError(f"{name!r} is not an official task, so its number of labels must be given")
    return [f"class_{index}" for index in range(num_labels)]
