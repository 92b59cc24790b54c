"""The chain: every step is one command that a user could type."""

import shlex
from dataclasses import dataclass

from .folders import DemoFolders
from .recipes import CITY, ROADS, TASK_LABELS
from .settings import DemoSettings

__all__ = ["PARTS", "Step", "chain"]

PARTS = {
    "data": "Make data",
    "first": "Train the first segmenter",
    "curation": "Curate the archive",
    "pretraining": "Pre-train semi-supervised (S4P)",
    "fine_tuning": "Fine-tune one model on two datasets (MoE-MDF)",
    "evaluation": "Evaluate",
    "prediction": "Map a scene",
    "official": "To the official layout and back",
}
"""The parts of the report: name and heading."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its own.
        part: the part of the report that it belongs to, a key of `PARTS`.
        title: what it does.
        words: the command: `s5-hf` or `python` and a script, and arguments.
    """

    name: str
    part: str
    title: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """As one types it."""
        return shlex.join(self.words)


def chain(settings: DemoSettings, folders: DemoFolders) -> list[Step]:
    """All steps in their order."""
    return [
        *preparing_steps(settings, folders),
        *pretraining_steps(folders),
        *fine_tuning_steps(folders),
        *evaluation_steps(folders),
        *prediction_steps(settings, folders),
        *official_steps(folders),
    ]


def preparing_steps(settings: DemoSettings, folders: DemoFolders) -> list[Step]:
    """Data, the first segmenter, and what it chooses."""
    size = [
        *("--size", settings.size, "--labelled", settings.labelled, "--validation", settings.validation),
        *("--archive", settings.archive, "--scene", settings.scene, "--seed", settings.seed),
    ]
    learning = [
        *("--steps", settings.steps, "--crop", settings.crop, "--batch-size", 8),
        *("--learning-rate", 0.002, "--seed", settings.seed),
    ]
    data, first = folders.data, folders.first_segmenter
    return [
        step("data", "data", "two labelled datasets, an archive, a scene", "make_synthetic_data.py", data, *size),
        step(
            *("first-segmenter", "first", "a small segmenter, from the labelled images", "train_small_segmenter.py"),
            *(data / CITY, first, "--classes", *TASK_LABELS[CITY], *learning),
        ),
        step(
            *("curation", "curation", "score, cluster, select, export", "s5-hf"),
            *("curate", "run", folders.recipe("curation")),
        ),
    ]


def pretraining_steps(folders: DemoFolders) -> list[Step]:
    """Labelled images alone, and with those that were chosen, for as many steps."""
    words = ("s5-hf", "train", "s4p", folders.recipe("pretraining"))
    return [
        step(
            *("supervised", "pretraining", "labelled images only, the baseline", *words),
            *("--method", "supervised", "--output-dir", folders.run("supervised")),
        ),
        step(
            *("s4p", "pretraining", "labelled and curated images (FixMatch)", *words),
            *("--output-dir", folders.run("s4p")),
        ),
    ]


def fine_tuning_steps(folders: DemoFolders) -> list[Step]:
    """A model for each dataset, and one for both: all make the same number of steps per dataset."""
    words = ("s5-hf", "train", "segmentation", folders.recipe("fine_tuning"))
    alone = [
        step(
            *(f"sdf-{name}", "fine_tuning", f"{name} alone (SDF)", *words, "--mode", "sdf", "--datasets", name),
            *("--output-dir", folders.run(f"sdf-{name}")),
        )
        for name in TASK_LABELS
    ]
    both = [
        step(
            *(mode, "fine_tuning", f"{CITY} and {ROADS}, {what}", *words),
            *("--mode", mode, "--output-dir", folders.run(mode)),
        )
        for mode, what in (("mdf", "shared encoder (MDF)"), ("moe", "mixture of experts (MoE-MDF)"))
    ]
    return [*alone, *both]


def evaluation_steps(folders: DemoFolders) -> list[Step]:
    """The mixture of experts on both validation sets."""
    return [
        step(
            *(f"evaluate-{name}", "evaluation", f"the mixture of experts on {name}", "s5-hf", "evaluate"),
            *(folders.segmenter("moe"), "--dataset", "s5-image-mask", "--data-dir", folders.data / name),
            *("--split", "val", "--task", name, "--output", folders.evaluation(name)),
        )
        for name in TASK_LABELS
    ]


def prediction_steps(settings: DemoSettings, folders: DemoFolders) -> list[Step]:
    """Both tasks of the mixture of experts on a scene larger than a window, and the page to look at them."""
    maps = [
        step(
            *(f"map-{name}", "prediction", f"the scene in the classes of {name}", "s5-hf", "predict"),
            *(folders.segmenter("moe"), folders.data / "scene.png", folders.maps / f"{name}.png", "--task", name),
            *("--window", settings.crop * 2, "--overlap", 0.5, "--overlay", "--resume"),
        )
        for name in TASK_LABELS
    ]
    view = step("view", "prediction", "a page with a divider", "s5-hf", "view", folders.maps / f"{CITY}.png")
    return [*maps, view]


def official_steps(folders: DemoFolders) -> list[Step]:
    """What the checkpoint files of the official code need."""
    model, labels = folders.segmenter("s4p"), ",".join(TASK_LABELS[CITY])
    file = folders.official / "s4p.pth"
    return [
        step("to-official", "official", "write an official checkpoint", "s5-hf", "convert", model, file),
        step(
            *("from-official", "official", "and read it", "s5-hf", "convert", file, folders.official / "s4p"),
            *("--task", CITY, "--classes", labels, "--num-attention-heads", 4),
        ),
    ]


def step(name: str, part: str, title: str, program: str, *arguments: object) -> Step:
    """A step from its words; a program that ends in `.py` is one of the examples."""
    start = ("python", f"examples/{program}") if program.endswith(".py") else (program,)
    return Step(name, part, title, (*start, *map(str, arguments)))
