# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of road graphs; the defaults are those of SAM-Road++ (arXiv 2411.16733) for City-Scale."""

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..recipe_reading import SectionedRecipe, option, require_not_negative, require_positive
from ..recipe_sections import (
    SAME_RESULT,
    AdamWSettings,
    EncoderSettings,
    SelectingRunSettings,
    ViewSettings,
    bookkeeping,
)


@dataclass
class RoadModelSettings(EncoderSettings):
    """The network. `encoder` is a SAM of transformers, an S5 ViT, or any backbone whose last map is of stride 16."""

    road_model: str | None = option(None, "folder or name of a whole road model to start from")
    point_sampling: Literal["exact", "released"] = option(
        "exact", "how scores are read at points; released repeats the defects of the official code"
    )
    resampling_radius: int = option(2, "pixels within which targets move to the best score; 8 in the paper")
    topology_dropout: float = option(0.1, "dropout in the topology network")


@dataclass
class RoadDataSettings(ViewSettings):
    """Images with road graphs, and their crops."""

    dataset: str = option("s5-image-graph", "name of a dataset of road graphs")
    data_dir: str | None = option(None, "its data_dir")
    train_split: str = option("train", "its split that is learned from")
    validation_split: str = option("val", "its split for validation; none for no validation")
    validation_count: int | None = option(None, "at most so many validation images, the first ones")
    scale_range: list[float] = option([1.0, 1.0], "range of a random factor of images and graphs")
    quarter_turns: bool = option(True, "turn crops by a random multiple of 90 degrees")
    sources: int = option(512, "points of a crop from which pairs are sampled, with replacement")
    max_neighbors: int = option(16, "pairs of each of them, with its nearest points")
    neighbor_radius: int = option(64, "pixels within which these lie")
    spacing: int = option(16, "pixels between points of a crop")

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        names = ("sources", "max_neighbors", "neighbor_radius", "spacing", "validation_count")
        require_positive({name: getattr(self, name) for name in names})


@dataclass
class RoadOptimizerSettings(AdamWSettings):
    """Epochs, batches and AdamW."""

    batch_size: int = option(16, "crops per process and micro-step")
    epochs: int = option(10, "epochs; one takes as many crops as would cover the images")
    total_steps: int | None = option(None, "optimizer steps in place of what the epochs come to")
    learning_rate: float = option(1e-3, "highest learning rate")
    encoder_rate: float = option(0.1, "learning rate of the encoder, times the others'")
    weight_decay: float = option(0.1, "of all parameters, norms and positions too where decay_everything")
    decay_everything: bool = option(True, "decay norms and positions too, as officially")
    schedule: Literal["step", "cosine", "poly", "constant"] = option("step", "course of the learning rate")
    milestones: list[float] = option([9], "epochs, counted from 0, at whose beginning the schedule 'step' falls")
    milestone_factor: float = option(0.1, "factor of the learning rate at each of them")
    gradient_clip: float | None = option(1.0, "largest gradient norm; null for none")


@dataclass
class RoadRunSettings(SelectingRunSettings):
    """Seed, output, checkpoints, validation and logging."""

    output_dir: str = option("runs/roads", "folder of the run")
    threshold_images: int = option(
        8, "training images on which a validation chooses the thresholds of the network; 0 keeps those it has"
    )

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        super().check()
        require_not_negative({"threshold_images": self.threshold_images})


@dataclass
class RoadRecipe(SectionedRecipe):
    """All settings of a run, by section."""

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = bookkeeping(RoadRunSettings) | SAME_RESULT | {"data_dir", "road_model"}

    model: RoadModelSettings
    data: RoadDataSettings
    optimizer: RoadOptimizerSettings
    run: RoadRunSettings

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        self.model.settle_encoder()
        starts = [name for name in ("encoder", "segmenter", "road_model") if getattr(self.model, name)]
        if len(starts) > 1:
            raise ValueError(f"give one network to start from, got {' and '.join(starts)}")
        require_positive(
            {
                name: getattr(self.optimizer, name)
                for name in ("batch_size", "epochs", "total_steps", "gradient_accumulation")
            }
        )
        require_not_negative({"resampling_radius": self.model.resampling_radius})
        self.data.check()
        self.run.check()
