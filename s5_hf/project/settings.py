"""What a project file says, with checked types; the training sections hold keys of recipes besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "CurateSettings",
    "EvaluateSettings",
    "LauncherSettings",
    "MapSettings",
    "Project",
    "ProjectDataset",
    "TrainingSettings",
]


@dataclass(frozen=True)
class ProjectDataset:
    """Labelled images, one task of the model: tiles with masks in `folder`, or `scenes` with `labels` to be cut.

    Attributes:
        name: of the task.
        classes: names in the order of their ids. Of labels also a mapping from each name to the values that mean it.
        folder: with train/images, train/masks, val/images and so on.
        scenes: files, folders, patterns or URLs of scenes.
        labels: files of polygons, or rasters of class values.
        attribute: field of the polygons that holds the class.
        unlabelled: what lies in no polygon: "ignore" or the name of a class.
        tile_size: side of the tiles in pixels.
        prepare: further options of `s5-hf prepare-scenes`, such as {val-share: 0.2, areas: areas.gpkg}.
        finetune: keys of this dataset in the recipe of the fine-tuning, such as class_weights.
    """

    name: str
    classes: Sequence[str] | Mapping[str, Any]
    folder: str | None = None
    scenes: Sequence[str] = ()
    labels: Sequence[str] = ()
    attribute: str | None = None
    unlabelled: str = "ignore"
    tile_size: int = 512
    prepare: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_cut(self) -> bool:
        """Whether its tiles are cut from scenes by the project itself."""
        return bool(self.scenes)

    @property
    def labels_of_classes(self) -> list[str]:
        """The names of the classes."""
        return list(self.classes)


@dataclass(frozen=True)
class TrainingSettings:
    """A training.

    Attributes:
        recipe: a file, or the name of a recipe of the package.
        keys: of the recipe, that differ from it.
    """

    recipe: str
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CurateSettings:
    """The choice from the archive.

    Attributes:
        target: number of patches to choose; half as many as the archive has images if left out.
        patch_size: side of a patch in pixels; whole images if left out.
        clusters: number of clusters of the labelled images.
        score, select, export: further settings of these steps, as in a recipe of `s5-hf curate run`.
    """

    target: int | None = None
    patch_size: int | None = None
    clusters: int = 4
    score: Mapping[str, Any] = field(default_factory=dict)
    select: Mapping[str, Any] = field(default_factory=dict)
    export: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateSettings:
    """The evaluation of the last model.

    Attributes:
        split: of every dataset; test where there is one, else val, if left out.
        accuracy: whether the maps are compared with the labels of this split where scenes with labels are mapped.
        options: further options of `s5-hf evaluate`, such as {protocol: sliding}.
    """

    split: str | None = None
    accuracy: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MapSettings:
    """The maps of whole scenes.

    Attributes:
        window: side of a window in pixels.
        overlap: share of a window that the next one covers again.
        polygons: .gpkg or .geojson for polygons beside the maps; none if left out.
        pages: number of scenes for which a page to look at is written.
        options: further options of `s5-hf predict`, such as {minimum-area: 20}.
    """

    window: int = 512
    overlap: float = 0.25
    polygons: str | None = None
    pages: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LauncherSettings:
    """How `accelerate launch` starts the trainings.

    Attributes:
        processes: of a training, one for each GPU.
        options: further options of `accelerate launch`, such as {mixed-precision: bf16, config-file: fsdp.yaml}.
    """

    processes: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """A project. Paths are as the current folder sees them.

    Attributes:
        path: of the file.
        output: folder for everything that is made.
        datasets: the labelled images. The first segmenter, the curation and the pre-training learn from the first of
            them, the fine-tuning from all.
        archive: folders of images without labels.
        scenes: files, folders, URLs and patterns of what is to be mapped.
        bands: names or numbers of the bands that are read from all images, in this order; all if left out.
        launcher: of trainings in several processes; in one process if left out.
        seed: of everything.
        first, curate, pretrain, finetune, evaluate, maps: settings of the steps; `None` for a step that is left out.
    """

    path: Path
    output: Path
    datasets: tuple[ProjectDataset, ...]
    archive: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    bands: tuple[str | int, ...] | None = None
    launcher: LauncherSettings | None = None
    seed: int = 0
    first: TrainingSettings | None = None
    curate: CurateSettings | None = None
    pretrain: TrainingSettings | None = None
    finetune: TrainingSettings | None = None
    evaluate: EvaluateSettings | None = None
    maps: MapSettings | None = None
