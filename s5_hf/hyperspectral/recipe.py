# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Settings of the training on one cube; the defaults are those of SPECIAL (arXiv 2501.16222) on Pavia Centre."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass, field

from ..training.recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..training.recipe_sections import AdamWSettings, RunSettings, bookkeeping

__all__ = ["SpecialRecipe"]


@dataclass
class RefinementSettings:
    """Rounds, and what the losses are made of."""

    epochs: int = option(20, "rounds over the cube; the labels are refined before each one after the warm-up")
    warmup_epochs: int = option(10, "rounds that learn from the first labels alone")
    iterations: int = option(20, "times that a round looks at each window of the cube")
    samples: int = option(500, "pixels that a step draws for each class of the first labels, the surest most often")
    hard_weight: float = option(0.1, "weight of the pixels that the network is least sure of")
    confident_weight: float = option(1.0, "weight of the confident pixels")
    noise: float = option(0.1, "deviation of the noise on a cube of values 0 to 1")
    window: int = option(256, "largest side in pixels of the windows that a cube is shared out to")


@dataclass
class SpecialOptimizer(AdamWSettings):
    """Adam, and its schedule."""

    learning_rate: float = option(1e-3, "highest learning rate")
    lowest_rate: float = option(1e-4, "learning rate at the end")
    weight_decay: float = option(0.0, "of all parameters but norms and positions")
    total_steps = 0  # without annotation: follows from the rounds


@dataclass
class SpecialRun(RunSettings):
    """Seed, output, checkpoints and logging."""

    checkpoint_steps: int = option(100, "steps between checkpoints")
    keep_checkpoints: int = option(1, "how many of the last checkpoints to keep")
    trackers: list[str] = option(["none"], "trackers of Accelerate by name; 'none' for none")


@dataclass
class SpecialRecipe(SectionedRecipe):
    """A training on one cube."""

    FREE_TO_CHANGE = bookkeeping(SpecialRun) | {"compile"}

    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    optimizer: SpecialOptimizer = field(default_factory=SpecialOptimizer)
    run: SpecialRun = field(default_factory=SpecialRun)

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        rounds = self.refinement
        counts = ("epochs", "iterations", "samples", "window")
        require_positive({name: getattr(rounds, name) for name in counts})
        weights = ("warmup_epochs", "hard_weight", "confident_weight", "noise")
        require_not_negative({name: getattr(rounds, name) for name in weights})
        self.run.check()
