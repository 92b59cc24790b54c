# ruff: noqa: RUF009 - option() is dataclasses.field() with a line of help
"""Recipes of joint training: the settings of a run, and those of each of its datasets.

    mode: moe
    segmenter: runs/s4p_tiny_cpu/segmenter
    total_steps: 400
    datasets:
      - {name: city, dataset: s5-image-mask, data_dir: my-city, classes: [other, building, road]}
      - {name: roads, dataset: s5-image-mask, data_dir: my-roads, classes: [ground, road], batch_size: 4}

On the command line `--key value` goes before the file, `--city.data_dir elsewhere` sets a key of a dataset, and
`--datasets city` chooses from the file's datasets or names new ones. Unknown keys and datasets are refused.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from ...dataset_builders.credentials import without_credentials
from ..recipe_reading import (
    SectionedRecipe,
    default_of,
    option,
    parse_sections,
    require_positive,
    settings_to_arguments,
)
from ..recipe_sections import (
    SAME_RESULT,
    AdapterSettings,
    BackboneAdamWSettings,
    EncoderSettings,
    ValidatedRunSettings,
    bookkeeping,
)

# Settings look alike because they are lists of keys; what is shared is in recipe_sections.py.

TASK_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass
class DatasetSettings:
    """One dataset, which is one task of the model."""

    name: str = option("", "name of the task in the model")
    dataset: str | None = option(
        None, "name for load_dataset; default: s5-NAME where it is known, else s5-image-mask or s5-oriented"
    )
    data_dir: str | None = option(None, "its data_dir")
    train_split: str = option("train", "split to learn from, or several joined as in train+val")
    validation_split: str = option("auto", "auto, held_out (a share of the training images), none, or a split")
    held_out_share: float = option(
        0.1, "share of the training images that held_out sets aside, of each folder the last"
    )
    validation_count: int | None = option(None, "validate on the first images only")
    classes: list[str] = option([], "class names in the order of their ids, where the dataset does not know them")
    batch_size: int | None = option(None, "images per process and micro-step; default: batch_size of the recipe")
    loss_weight: float = option(1.0, "weight of the dataset's loss in the sum")
    loss_from_epoch: int = option(0, "epoch, counted from 0, in which the loss begins to count")


@dataclass
class JointModelSettings(EncoderSettings, AdapterSettings):
    """The network: what it starts from and what its tasks share.

    Attributes:
        STARTS: keys that name a network to start from; one of them at most is given.
    """

    STARTS: ClassVar[tuple[str, ...]] = ("encoder", "segmenter")

    mode: Literal["sdf", "mdf", "moe"] = option(
        "moe", "sdf: one dataset; mdf: shared encoder, a decoder per dataset; moe: mdf with experts"
    )
    expert_channels: int = option(256, "output channels of a feed-forward layer that belong to the task's expert")

    def __post_init__(self) -> None:
        super().__post_init__()
        # So that the command line can take back what a recipe file says.
        for key in self.STARTS:
            setattr(self, key, None if getattr(self, key) == "none" else getattr(self, key))

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        given = [key for key in self.STARTS if getattr(self, key)]
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(given)}, not both (--{given[-1]} none takes one back)")
        require_positive({"expert_channels": self.expert_channels})
        self.check_adapters()


@dataclass
class JointDataSettings:
    """What all datasets have in common."""

    datasets: list[str] = option([], "names of the datasets, in the order of the experts")
    sampling: Literal["repeat", "temperature"] = option(
        "repeat", "repeat: as many images of each, smaller datasets repeated; temperature: shares by size"
    )
    temperature: float = option(2.0, "share of a dataset ~ size ** (1 / temperature): 1 by size, large for equal")
    batch_size: int = option(12, "images of each dataset per process and micro-step")


@dataclass
class JointOptimizerSettings(BackboneAdamWSettings):
    """Epochs and AdamW."""

    epochs: int = option(100, "epochs; one takes the longest dataset once, or total_steps / epochs steps")
    total_steps: int | None = option(None, "optimizer steps in place of what the epochs come to")
    weight_decay: float = option(0.05, "of all parameters but norms and positions")
    weight_average_decay: float | None = option(
        None, "decay of an average of the weights, which is then validated and kept as best; null for none"
    )


@dataclass
class JointRunSettings(ValidatedRunSettings):
    """Bookkeeping, and which checkpoints are called best."""

    output_dir: str = option("runs/finetuning", "folder of the run")
    selection: Literal["validation", "last", "official_test_split"] = option(
        "validation",
        "which weights are kept as best: by validation, never on a split whose results are published; none but the "
        "last; or on the published test split, as the official code does",
    )


AnyJointRecipe = TypeVar("AnyJointRecipe", bound="JointRecipe")
AnySettings = TypeVar("AnySettings", bound=DatasetSettings)


@dataclass
class JointRecipe(SectionedRecipe):
    """All settings of a run, by section, and its datasets in the order of the experts.

    Attributes:
        DATASET: the class of the settings of a dataset.
    """

    FREE_TO_CHANGE: ClassVar[frozenset[str]] = (
        (bookkeeping(JointRunSettings) - {"selection"}) | SAME_RESULT | {"data_dir"}
    )
    DATASET: ClassVar[type[DatasetSettings]] = DatasetSettings

    model: JointModelSettings
    data: JointDataSettings
    optimizer: JointOptimizerSettings
    run: JointRunSettings
    datasets: tuple[DatasetSettings, ...] = ()

    @classmethod
    def parse(
        cls: type[AnyJointRecipe], settings: dict[str, Any], words: Sequence[str], source: str, description: str | None
    ) -> AnyJointRecipe:
        """The same with settings of the datasets: `--DATASET.key value` among the words."""
        of_datasets = dataset_arguments(settings.get("datasets") or [], source, cls.DATASET)
        from_file = settings_to_arguments({**settings, "datasets": list(of_datasets)}, cls.sections(), source)
        words, overrides = split_dataset_words(words)
        help_of_datasets = dataset_help(cls.DATASET)
        sections = parse_sections(cls.sections(), [*from_file, *words], description, help_of_datasets)
        names = sections[1].datasets
        unknown = sorted(set(overrides) - set(names) - set(of_datasets))  # settings of one that is not chosen may stay
        if unknown:
            raise ValueError(
                f"--{unknown[0]}.{overrides[unknown[0]][0][2:]}: the datasets are {', '.join(names) or '-'}"
            )
        datasets = [
            dataset_settings(name, [*of_datasets.get(name, []), *overrides.get(name, [])], cls.DATASET)
            for name in names
        ]
        names_of_sections = [field.name for field in dataclasses.fields(cls) if field.type in cls.sections()]
        return cls(**dict(zip(names_of_sections, sections, strict=True)), datasets=tuple(datasets))

    @classmethod
    def help_of_keys(cls) -> str:
        """Every key with its meaning and default, and the keys of a dataset."""
        return f"{super().help_of_keys()}\n\n{dataset_help(cls.DATASET)}"

    def defaults(self) -> dict[str, Any]:
        """The same, with those of the keys of every dataset."""
        keys = dataclasses.fields(self.DATASET)
        of_datasets = {f"{one.name}.{key.name}": default_of(key) for one in self.datasets for key in keys}
        return {**super().defaults(), **of_datasets}

    def to_dict(self) -> dict[str, Any]:
        """The same, with a list of the keys of every dataset."""
        datasets = [dataclasses.asdict(settings) for settings in self.datasets]
        return {**super().to_dict(), "datasets": without_credentials(datasets)}

    def batch_size_of(self, dataset: DatasetSettings) -> int:
        """Images of a dataset per process and micro-step."""
        return self.data.batch_size if dataset.batch_size is None else dataset.batch_size

    def check(self) -> None:
        """Raise a ValueError for settings that cannot work."""
        names = self.data.datasets
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"two datasets are called {repeated[0]!r}; every task needs a name of its own")
        if not names:
            raise ValueError(
                "there is no dataset: list them under datasets: in the recipe, or with --datasets NAME ..."
            )
        if self.model.mode == "sdf" and len(names) > 1:
            raise ValueError(
                f"mode sdf takes one dataset, got {', '.join(names)}: choose one with --datasets, or use mdf or moe"
            )
        if self.data.temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {self.data.temperature}")
        optimizer = self.optimizer
        require_positive(
            {
                "epochs": optimizer.epochs,
                "total_steps": optimizer.total_steps,
                "gradient_accumulation": optimizer.gradient_accumulation,
                "batch_size": self.data.batch_size,
            }
        )
        decay = optimizer.weight_average_decay
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(f"weight_average_decay must lie between 0 and 1, 1 excluded, got {decay}")
        self.model.check()
        self.data.check()
        self.run.check()
        for settings in self.datasets:
            self.check_dataset(settings)

    def check_dataset(self, settings: DatasetSettings) -> None:
        """Raise a ValueError for settings of a dataset that cannot work."""
        name = settings.name
        if not TASK_NAME.fullmatch(name):
            raise ValueError(f"a dataset's name has letters, digits, _ and -, and begins with no digit; got {name!r}")
        require_positive(
            {f"{name}.validation_count": settings.validation_count, f"{name}.batch_size": settings.batch_size}
        )
        if not 0 < settings.held_out_share < 1:
            raise ValueError(f"{name}.held_out_share must lie between 0 and 1, got {settings.held_out_share}")
        if settings.loss_weight < 0:
            raise ValueError(f"{name}.loss_weight must not be negative, got {settings.loss_weight}")
        if not 0 <= settings.loss_from_epoch < self.optimizer.epochs:
            raise ValueError(
                f"{name}.loss_from_epoch must lie between 0 and epochs - 1 = {self.optimizer.epochs - 1}, "
                f"got {settings.loss_from_epoch}"
            )


def dataset_help(dataset_type: type) -> str:
    """Help for the keys of a dataset."""
    fields = [field for field in dataclasses.fields(dataset_type) if field.name != "name"]
    lines = [f"  {field.name}: {field.metadata['help']}" for field in fields]
    return "\n".join(["keys of a dataset, given as --NAME.key value:", *lines])


def dataset_arguments(entries: object, source: str, dataset_type: type) -> dict[str, list[str]]:
    """The settings of every dataset of a file as arguments, by name.

    Raises:
        ValueError: if they are no list of mappings with names, a name comes twice, or a key is unknown.
    """
    if not isinstance(entries, list):
        raise ValueError(f"datasets in {source} must be a list of settings, each with its name, got {entries!r}")
    found: dict[str, list[str]] = {}
    for entry in entries:
        settings = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or not settings.get("name"):
            raise ValueError(f"a dataset in {source} must be a mapping with a name, got {entry!r}")
        if settings["name"] in found:
            raise ValueError(
                f"two datasets in {source} are called {settings['name']!r}; every task needs its own name"
            )
        own = f"the dataset {settings['name']!r} in {source}"
        found[settings["name"]] = settings_to_arguments(settings, [dataset_type], own)
    return found


def split_dataset_words(words: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """`--name.key values` apart from the other words: those, and `--key values` by name."""
    rest: list[str] = []
    overrides: dict[str, list[str]] = {}
    current = rest
    for word in words:
        key = word[2:].partition("=")[0] if word.startswith("--") else ""
        if "." in key:
            name, _, _ = key.partition(".")
            current = overrides.setdefault(name, [])
            current.append(f"--{word[3 + len(name) :]}")
        else:
            current = rest if key else current
            current.append(word)
    return rest, overrides


def dataset_settings(name: str, arguments: Sequence[str], dataset_type: type[AnySettings]) -> AnySettings:
    """The settings of one dataset.

    Raises:
        ValueError: naming the dataset, for unknown keys and bad values.
    """
    try:
        (settings,) = parse_sections([dataset_type], arguments)
    except ValueError as error:
        raise ValueError(f"dataset {name!r}: {error}") from error
    return dataclasses.replace(settings, name=name)
