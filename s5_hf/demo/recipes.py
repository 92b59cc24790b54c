"""The recipes of the demonstration: the files that its commands read, and a user can edit."""

from pathlib import Path
from typing import Any

import yaml

from ..files.atomic import write_text
from ..synthetic import SCENE_LABELS
from .folders import DemoFolders
from .settings import DemoSettings

__all__ = ["CITY", "ROADS", "TASK_LABELS", "write_recipes"]

CITY, ROADS = "city", "roads"
TASK_LABELS = {CITY: tuple(SCENE_LABELS), ROADS: ("ground", "road")}


def write_recipes(settings: DemoSettings, folders: DemoFolders) -> list[Path]:
    """Write `curation.yaml`, `pretraining.yaml` and `fine_tuning.yaml`."""
    recipes = {
        "curation": curation_recipe(settings, folders),
        "pretraining": pretraining_recipe(settings, folders),
        "fine_tuning": fine_tuning_recipe(settings, folders),
    }
    for name, content in recipes.items():
        write_text(folders.recipe(name), yaml.safe_dump(content, sort_keys=False, width=110))
    return [folders.recipe(name) for name in recipes]


def curation_recipe(settings: DemoSettings, folders: DemoFolders) -> dict[str, Any]:
    """Whole images of the archive, quotas by the labelled images; the validation images must not come in."""
    data = folders.data
    return {
        "output": str(folders.curated),
        "model": str(folders.first_segmenter),
        "labelled": {
            "dataset": "s5-image-mask",
            "data_dir": str(data / CITY),
            "options": {"classes": list(TASK_LABELS[CITY])},
        },
        "candidates": [{"folder": str(data / "archive"), "name": "archive"}],
        "exclude_images": [{"folder": str(data / name / "val" / "images")} for name in TASK_LABELS],
        "score": {"patch_size": None, "batch_size": 8, "part_size": 32, "background": None},
        "cluster": {"num_clusters": 3, "compare": [2, 3]},
        "select": {"target": settings.target, "unfilled": "hand_on"},
    }


def pretraining_recipe(settings: DemoSettings, folders: DemoFolders) -> dict[str, Any]:
    """FixMatch from the first segmenter: labelled city, unlabelled what the curation chose."""
    return {
        "segmenter": str(folders.first_segmenter),
        "labelled_dataset": "s5-image-mask",
        "labelled_dir": str(folders.data / CITY),
        "classes": list(TASK_LABELS[CITY]),
        "unlabelled_dataset": "rs4p-1m",
        "unlabelled_dir": str(folders.curated / "dataset"),
        "crop_size": settings.crop,
        "num_workers": 0,
        "method": "fixmatch",
        "confidence_threshold": 0.9,
        "total_steps": settings.steps,
        "labelled_batch_size": 4,
        "unlabelled_batch_size": 4,
        "learning_rate": 1.5e-3,
        "warmup_steps": settings.steps // 10,
        **run_settings(settings),
    }


def fine_tuning_recipe(settings: DemoSettings, folders: DemoFolders) -> dict[str, Any]:
    """One model for city and roads, from the pre-trained weights."""
    return {
        "mode": "moe",
        "expert_channels": 32,
        "segmenter": str(folders.segmenter("s4p")),
        "datasets": [
            {
                "name": name,
                "dataset": "s5-image-mask",
                "data_dir": str(folders.data / name),
                "classes": list(labels),
            }
            for name, labels in TASK_LABELS.items()
        ],
        "batch_size": 4,
        "crop_size": settings.crop,
        "num_workers": 0,
        "color_augmentation": False,
        "epochs": 10,
        "total_steps": settings.steps,
        "learning_rate": 1.5e-3,
        "warmup_steps": settings.steps // 10,
        "selection": "last",
        **run_settings(settings),
    }


def run_settings(settings: DemoSettings) -> dict[str, Any]:
    """What both trainings have in common."""
    return {
        "seed": settings.seed,
        "checkpoint_steps": max(1, settings.steps // 2),
        "keep_checkpoints": 1,
        "validation_steps": settings.validation_steps,
        "logging_steps": max(1, settings.steps // 20),
        "trackers": ["none"],
        "resume": "auto",
    }
