"""Open-vocabulary models on datasets of the registry: the published names, threshold and sizes.

Source: SegEarth-OV (arXiv 2410.01768), its official evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PretrainedConfig

from ...dataset_builders.class_names import VERSIONS, NamedClasses
from ...dataset_builders.registry import DatasetEntry
from ...modeling import SegEarthOVConfig
from ...training.segmentation.class_map import ClassMap
from ...training.views.weak import IGNORED
from ..data import EvaluationData
from .protocol import SegmentationProtocol, choose_protocol

__all__ = ["NamedProtocol", "choose_named_protocol", "choose_names", "with_named_classes"]


@dataclass(frozen=True)
class NamedProtocol(SegmentationProtocol):
    """How published numbers of open-vocabulary models are obtained. The model cuts its own windows.

    Args:
        classes: one string per class, its synonyms separated by commas.
        longest_side: pixels to which images are resized, in their proportions.
        threshold: where no class is as probable, a pixel becomes `background`.
        background: a class id.
        cls_lambda: share of the whole image in the similarities of its pixels.
    """

    classes: Sequence[str] = ()
    longest_side: int = 448
    threshold: float = 0.0
    background: int = 0
    cls_lambda: float = -0.3

    def describe(self) -> str:
        """One line for a report."""
        names = " | ".join(self.classes)
        return (
            f"longer sides resized to {self.longest_side} px; where no class reaches {self.threshold}, class "
            f"{self.background}; cls_lambda {self.cls_lambda}; names: {names}"
        )


def choose_names(
    entry: DatasetEntry, config: PretrainedConfig, classes: Sequence[str] | None, version: str | None
) -> NamedClasses | None:
    """The published names of a dataset, for an open-vocabulary model that has none and is given none.

    Args:
        entry: the dataset.
        config: of the model.
        classes: that the user gives.
        version: `"v1"` or `"v2"`; `None` for the first where names are needed.

    Returns:
        `None` where a model has classes, is given some, or nothing is published.

    Raises:
        ValueError: a version is asked for and is unknown, or there are no such names, or no need of them.
    """
    needed = isinstance(config, SegEarthOVConfig) and not classes
    if version is not None:
        if version not in VERSIONS:
            raise ValueError(f"unknown version of names {version!r}, expected {' or '.join(VERSIONS)}")
        if not needed:
            raise ValueError("the published names are for an open-vocabulary model without --classes")
        if not entry.open_vocabulary:
            raise ValueError(f"no names are published for {entry.name}: give --classes, in the order of its classes")
    if not needed or not entry.open_vocabulary or (config.classes and version is None):
        return None
    return entry.open_vocabulary[version or VERSIONS[0]]


def choose_named_protocol(
    entry: DatasetEntry, named: NamedClasses | None, name: str, **changes: object
) -> SegmentationProtocol:
    """The protocol called `name`; with published names, `"published"` is that of their authors.

    Raises:
        ValueError: as `choose_protocol`, or the protocol of the authors is to be changed.
    """
    if named is None or name != "published":
        return choose_protocol(entry, name, **changes)
    given = [key for key, value in changes.items() if value is not None]
    if given:
        raise ValueError(
            f"{', '.join(given)}: the published protocol of open-vocabulary models resizes and cuts images in its own "
            "way; choose another one, such as --protocol original"
        )
    return NamedProtocol(name="published", **vars(named))


def with_named_classes(data: EvaluationData, named: NamedClasses, left_out: Sequence[str] | None) -> EvaluationData:
    """The data with the classes that a model was given beyond those of the dataset.

    A class beyond the labels is what masks ignore (ISPRS clutter): the model may predict it, no mask shows it, and the
    means leave it out. Of two classes the means leave out the background: they are those of the foreground.

    Args:
        data: with the labels of the registry.
        named: what the model was given.
        left_out: that the user gives.
    """
    beyond = tuple(entry.split(",")[0] for entry in named.classes[len(data.labels) :])
    background = (data.labels[named.background],) if len(named.classes) == 2 else ()
    absent = (*beyond, *(background if left_out is None else left_out))
    if beyond:  # the value that is ignored would be the id of such a class
        kept = {index: index for index in range(len(data.labels))}
        class_map = ClassMap.from_values({**kept, data.ignore_index: IGNORED}, data.entry.name)
        data = replace(data, class_map=class_map, ignore_index=IGNORED)
    return replace(data, labels=(*data.labels, *beyond), left_out=absent)
