"""A comparison beside the chain: what unlabelled tiles bring to a residual network, at equal steps and equal time."""

import math
from collections.abc import Sequence
from pathlib import Path

from ..project.folders import ProjectFolders
from ..project.steps import Step
from ..synthetic import SHORE_LABELS
from .settings import DemoSettings

__all__ = ["PAIR_ARMS", "SHORES", "pair_steps"]

SHORES = "shores"
LABELLED = 4
LEAST_SHARE = 0.15
PART_OF_STEPS = 0.75
TIME_OF_METHOD = 2.2
"""Processor time of a step of FixMatch over that of a supervised one, rounded up: 2.1 was measured."""
PAIR_ARMS = {
    "start of all three": "pair-start",
    "supervised, equal steps": "pair-supervised",
    "S4P (FixMatch, averaged teacher)": "pair-s4p",
    "supervised, equal time": "pair-longer",
}
"""The run of each row of the comparison."""


def pair_steps(settings: DemoSettings, output: Path) -> list[Step]:
    """The supervised run that the arms start from, and the arms; none where the demonstration has no such tiles.

    All learn from the same labelled tiles; S4P, which is FixMatch with an averaged teacher here, also from the others.
    """
    if not settings.shores:
        return []
    steps = max(1, round(PART_OF_STEPS * settings.steps))
    first = training("supervised", steps, 3e-3, 20)
    start = pair_step("pair-start", "a supervised run to start from", settings, output, first)
    begun = ("--backbone", "null", "--segmenter", start.makes[0] / "segmenter")
    arms = {
        "pair-supervised": ("supervised, as many steps", "supervised", steps),
        "pair-s4p": ("FixMatch with an averaged teacher, on labelled and unlabelled tiles", "fixmatch", steps),
        "pair-longer": ("supervised, as much time", "supervised", math.ceil(TIME_OF_METHOD * steps)),
    }
    return [
        start,
        *(
            pair_step(name, title, settings, output, (*begun, *training(method, count, 1e-3, 5)), (start.name,))
            for name, (title, method, count) in arms.items()
        ),
    ]


def training(method: str, steps: int, learning_rate: float, warmup_steps: int) -> tuple[object, ...]:
    """Options of a training of the comparison: what the runs do not share."""
    schedule = ("--learning-rate", learning_rate, "--warmup-steps", min(warmup_steps, steps - 1))
    return "--method", method, "--total-steps", steps, *schedule


def pair_step(
    name: str,
    title: str,
    settings: DemoSettings,
    output: Path,
    options: Sequence[object],
    after: tuple[str, ...] = (),
) -> Step:
    """A training of the comparison, with options of its own."""
    folder = ProjectFolders(output).run(name)
    words = (
        *("s5-hf", "train", "s4p", "s4p_few_labels_cpu", "--labelled-dir", output / "data" / SHORES),
        *("--classes", *SHORE_LABELS, "--labelled-count", LABELLED, "--labelled-choice", "balanced"),
        *("--least-share", LEAST_SHARE, "--unlabelled-from-step", 0, "--panel-images", 0),
        *("--seed", settings.seed, *options, "--output-dir", folder),
    )
    return Step(name, "pair", title, tuple(map(str, words)), (folder,), ("data", *after))
