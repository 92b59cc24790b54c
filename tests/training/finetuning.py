"""A micro fine-tuning run for tests: the example itself on a few random images of two tasks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s5_hf.training.segmentation.recipe import SegmentationRecipe
from s5_hf.training.segmentation.task_data import TaskData
from tests.training.pretraining import random_samples, run_example

MICRO = [
    *("--mode", "moe", "--expert_channels", "8", "--hidden_size", "32", "--num_hidden_layers", "4"),
    *("--num_attention_heads", "4", "--decoder_channels", "16", "--crop_size", "64", "--num_workers", "0"),
    *("--batch_size", "2", "--learning_rate", "1e-3", "--epochs", "10", "--total_steps", "10"),
    *("--checkpoint_steps", "4", "--validation_steps", "5", "--logging_steps", "1", "--trackers", "none"),
    *("--image_mean", "0.5", "0.5", "0.5", "--datasets", "blocks", "halves"),
]


def halves(count: int, seed: int) -> list[dict[str, object]]:
    """Samples of two classes, some pixels without one (9)."""
    samples = random_samples(count, seed)
    for sample in samples:
        sample["mask"] = np.where(sample["mask"] == 2, 9, sample["mask"]).astype(np.uint8)
    return samples


def micro_tasks() -> list[TaskData]:
    """Three classes and 8 images; two classes, ignore index 9, and 3 images."""
    return [
        TaskData(
            "blocks",
            ("red", "green", "blue"),
            ((255, 0, 0), (0, 255, 0), (0, 0, 255)),
            255,
            random_samples(8, 1),
            random_samples(2, 3),
        ),
        TaskData("halves", ("red", "green"), ((255, 0, 0), (0, 255, 0)), 9, halves(3, 4), halves(2, 5)),
    ]


def micro_recipe(*arguments: str) -> SegmentationRecipe:
    """The recipe of the micro run; later arguments go before earlier ones."""
    return SegmentationRecipe.read([*MICRO, *arguments])


def finetune(output_dir: Path, *arguments: str, data: list[TaskData] | None = None) -> None:
    """Run the example with the micro recipe."""
    run_example("finetune_segmentation", output_dir, [*MICRO, *arguments], micro_tasks() if data is None else data)


def interrupt_step(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None], step: type, number: int) -> None:
    """Run `action` when the step of a joint training, or its method, is called for the `number`-th time, from 0."""
    original, calls = step.__call__, []

    def call(self: object, *arguments: object) -> object:
        if len(calls) == number:
            action()
        calls.append(arguments)
        return original(self, *arguments)

    monkeypatch.setattr(step, "__call__", call)
