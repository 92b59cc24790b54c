"""A micro detection run for tests: the example itself on a few painted images of two tasks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from s5_hf.training.detection.data import DetectionTaskData
from s5_hf.training.detection.recipe import DetectionRecipe
from tests.training.pretraining import run_example

MICRO = [
    *("--mode", "moe", "--expert_channels", "8", "--hidden_size", "32", "--num_hidden_layers", "4"),
    *("--num_attention_heads", "4", "--fpn_channels", "16", "--roi_channels", "32", "--anchor_scale", "4"),
    *("--finest_scale", "28", "--rpn_samples", "64", "--roi_samples", "64", "--proposals_per_level", "40"),
    *("--max_proposals", "60", "--image_size", "64", "--num_workers", "0", "--batch_size", "2"),
    *("--learning_rate", "1e-3", "--epochs", "6", "--milestones", "4", "--total_steps", "6", "--warmup_steps", "2"),
    *("--checkpoint_steps", "4", "--validation_steps", "3", "--logging_steps", "1", "--trackers", "none"),
    *("--drop_path_rate", "0", "--image_mean", "0.2", "0.2", "0.2", "--datasets", "ships", "roofs"),
]
COLOURS = np.array([[220, 40, 40], [40, 220, 40]], dtype=np.uint8)


def painted_samples(count: int, seed: int, classes: int, size: int = 72, empty: Sequence[int] = ()) -> list[dict]:
    """Dark images with one rectangle of the colour of its class; those with the numbers `empty` have none."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    samples = []
    for index in range(count):
        image = rng.integers(30, 60, (size, size, 3)).astype(np.uint8)
        category = int(rng.integers(classes))
        cx, cy, theta = rng.uniform(25, size - 25), rng.uniform(25, size - 25), rng.uniform(-1.5, 1.5)
        box = [cx, cy, 30.0, 14.0, theta]
        along = (x - cx) * np.cos(theta) + (y - cy) * np.sin(theta)
        across = (y - cy) * np.cos(theta) - (x - cx) * np.sin(theta)
        objects = {"obb": [], "category": []}
        if index not in empty:
            image[(abs(along) < 15) & (abs(across) < 7)] = COLOURS[category]
            objects = {"obb": [box], "category": [category]}
        samples.append({"id": f"{seed}-{index}", "image": image, "objects": objects})
    return samples


def micro_tasks() -> list[DetectionTaskData]:
    """Two classes and 6 images, one of them empty; one class and 3 images."""
    return [
        DetectionTaskData(
            "ships", ("ship", "boat"), painted_samples(6, 1, 2, empty=[2]), painted_samples(2, 3, 2, empty=[1])
        ),
        DetectionTaskData("roofs", ("roof",), painted_samples(3, 4, 1), painted_samples(2, 5, 1)),
    ]


def micro_recipe(*arguments: str) -> DetectionRecipe:
    """The recipe of the micro run; later arguments go before earlier ones."""
    return DetectionRecipe.read([*MICRO, *arguments])


def train_detector(output_dir: Path, *arguments: str, data: list[DetectionTaskData] | None = None) -> None:
    """Run the example with the micro recipe."""
    run_example("finetune_detection", output_dir, [*MICRO, *arguments], micro_tasks() if data is None else data)


def weights_of(folder: Path, network: str = "detector") -> dict[str, torch.Tensor]:
    """The weights of a network that a run or a checkpoint holds."""
    return load_file(folder / network / "model.safetensors")
