"""The segmentation tasks of the official checkpoints: labels in index order and the ignored label value."""

from dataclasses import dataclass

ISPRS_LABELS = ("impervious_surface", "building", "low_vegetation", "tree", "car")


@dataclass(frozen=True)
class OfficialTask:
    """Labels of a task in the order of the logits, and the label value left out of its loss."""

    labels: tuple[str, ...]
    ignore_index: int


# In the order of the experts in the official MoE-MDF checkpoints, pre-training (iSAID) last.
OFFICIAL_TASKS: dict[str, OfficialTask] = {
    "vaihingen": OfficialTask(ISPRS_LABELS, 5),
    "potsdam": OfficialTask(ISPRS_LABELS, 5),
    "openearthmap": OfficialTask(
        ("unknown", "bareland", "rangeland", "developed", "road", "tree", "water", "agriculture", "building"), 255
    ),
    # The official list repeats "Barren" where "forest" belongs; this is the dataset's own list.
    "loveda": OfficialTask(("background", "building", "road", "water", "barren", "forest", "agriculture"), 255),
    "isaid": OfficialTask(
        (
            "background",
            "ship",
            "storage_tank",
            "baseball_diamond",
            "tennis_court",
            "basketball_court",
            "ground_track_field",
            "bridge",
            "large_vehicle",
            "small_vehicle",
            "helicopter",
            "swimming_pool",
            "roundabout",
            "soccer_ball_field",
            "plane",
            "harbor",
        ),
        255,
    ),
}

MOE_MDF_TASKS = ("vaihingen", "potsdam", "openearthmap", "loveda")


def task_settings(name: str, num_labels: int) -> dict[str, object]:
    """Name, labels and ignore index of a task; labels are numbered where the name is not an official one."""
    official = OFFICIAL_TASKS.get(name)
    if official is not None and len(official.labels) == num_labels:
        return {"name": name, "labels": list(official.labels), "ignore_index": official.ignore_index}
    return {"name": name, "labels": [f"class_{index}" for index in range(num_labels)], "ignore_index": 255}
