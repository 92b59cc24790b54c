"""Recipes: one YAML file that describes all four steps of a curation.

output: curated
model: my-segmenter
labelled: {dataset: s5-image-mask, data_dir: my-tiles, options: {classes: [land, building]}}
candidates:
  - {folder: archive-a}
  - {folder: archive-b, name: b}
exclude_images: [{folder: my-tiles/val/images}]
score: {patch_size: 512, batch_size: 16}
cluster: {num_clusters: 16, compare: [4, 8, 16, 32]}
select: {target: 100000}
export: {encoding: png}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files.typed_settings import settings_from
from ..files.yaml_files import read_yaml
from .curated_dataset import DatasetSettings
from .prototypes import ClusterSettings
from .score_part import ScoreSettings
from .selection import SelectionSettings
from .sources import ImageSource

__all__ = ["CurationRecipe", "read_curation_recipe"]


@dataclass(frozen=True)
class CurationRecipe:
    """All that `run_curation` needs. Relative paths are relative to the current folder.

    Attributes:
        output: folder for everything; it then holds `labelled-scores`, `scores`, `prototypes.safetensors`,
            `selection`, `dataset` and `report.html`.
        model: the segmenter: a folder, a Hub repository or a known name.
        candidates: the archives to select from.
        labelled: the labelled images; may be left out for strategies without clusters, such as `entropy`.
        task: of a model with several tasks.
        precision: `"fp32"`, `"bf16"`, or `"auto"`: bf16 where the device has it natively.
        classes: what an open-vocabulary model is to look for, one string per class with its synonyms after commas.
        exclude_images: images that must not be selected, such as those of evaluation sets.
        exclude_ids, exclude_hashes: text files with one id, or one hash, per line.
        score, cluster, select, export: settings of the steps. Scores keep pseudo-masks by default.
    """

    output: str
    model: str
    candidates: tuple[ImageSource, ...]
    labelled: tuple[ImageSource, ...] = ()
    task: str | None = None
    precision: str = "fp32"
    classes: Sequence[str] = ()
    exclude_images: tuple[ImageSource, ...] = ()
    exclude_ids: str | None = None
    exclude_hashes: str | None = None
    score: ScoreSettings = field(default_factory=lambda: ScoreSettings(pseudo_masks=True))
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    select: SelectionSettings = field(default_factory=SelectionSettings)
    export: DatasetSettings = field(default_factory=DatasetSettings)

    def __post_init__(self) -> None:
        if self.select.uses_clusters and not self.labelled:
            raise ValueError(
                f"the recipe lacks labelled: the strategy {self.select.strategy} needs labelled images; "
                "select: {strategy: entropy} does not"
            )


_SECTIONS = {"cluster": ClusterSettings, "select": SelectionSettings, "export": DatasetSettings}
_SOURCES = ("labelled", "candidates", "exclude_images")


def read_curation_recipe(path: str | Path) -> CurationRecipe:
    """Read a recipe.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for YAML that does not parse or gives a key twice, unknown or missing keys, and values of the wrong
            type or range; the message names the file and the key.
    """
    path = Path(path)
    content = read_yaml(path)
    try:
        return _recipe(content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _recipe(content: object) -> CurationRecipe:
    if not isinstance(content, Mapping):
        raise ValueError(f"a recipe is a mapping of names to values, got {type(content).__name__}")
    values = dict(content)
    for name, kind in _SECTIONS.items():
        if name in values:
            values[name] = settings_from(kind, values[name], name)
    if "score" in values:
        if not isinstance(values["score"], Mapping):
            raise ValueError(f"score must be a mapping of names to values, got {values['score']!r}")
        values["score"] = settings_from(ScoreSettings, {"pseudo_masks": True, **values["score"]}, "score")
    for name in _SOURCES:
        if name in values:
            entries = values[name] if isinstance(values[name], list) else [values[name]]
            values[name] = tuple(
                settings_from(ImageSource, entry, f"{name}[{index}]") for index, entry in enumerate(entries)
            )
    return settings_from(CurationRecipe, values, "the recipe")
