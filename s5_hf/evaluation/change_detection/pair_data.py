"""Pairs of a dataset as a trained change detector takes them, with the classes of its task."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...modeling.change_classes import CHANGE_LABELS, from_to_labels
from ...training.change.pair_reader import DATE_MASKS, PairReader
from ..data import EvaluationData, EvaluationImages, read_pixels

__all__ = ["PairImages", "data_of_task"]


@dataclass(frozen=True)
class PairImages(EvaluationImages):
    """Pairs, decoded and checked one by one: the channels of both dates behind each other, see `EvaluationImages`.

    Attributes:
        network: what the model expects of each date.
        date_classes: classes of each date, where the labels are changes from one to another; 0 where they are not.
    """

    date_classes: int = 0

    def pixels(self, sample: Mapping[str, Any], name: str) -> np.ndarray:
        """Both dates, uint8 `(height, width, 2 * channels)`.

        Raises:
            ValueError: if they differ in size, or as `read_pixels`.
        """
        dates = [read_pixels({"image": sample[column]}, name, self.network) for column in PairReader.columns]
        if dates[0].shape != dates[1].shape:
            raise ValueError(f"the dates of {name!r} differ: {dates[0].shape[:2]} and {dates[1].shape[:2]} pixels")
        return np.concatenate(dates, axis=2)

    def mask(self, sample: Mapping[str, Any], name: str) -> np.ndarray | None:
        """Class ids, or `None` where there are no labels."""
        if not self.date_classes:
            return super().mask(sample, name)
        if any(sample[column] is None for column in DATE_MASKS):
            return None
        return PairReader(self.date_classes).mask(sample, len(self.data.labels), 255, name)


def data_of_task(data: EvaluationData, date_classes: Sequence[str], by_position: bool = False) -> EvaluationData:
    """The data with the classes that masks have for a task: changes, or from what to what.

    Args:
        data: a dataset of pairs.
        date_classes: of the model's task; empty where it has none.
        by_position: whether names may differ from those of the dataset.

    Raises:
        ValueError: if the task is about classes of both dates, and the dataset has no such masks or other classes.
    """
    has_dates = set(DATE_MASKS) <= set(data.samples.column_names)
    if not date_classes:
        return dataclasses.replace(data, labels=CHANGE_LABELS) if has_dates else data
    known = data.entry.labels[1:]
    same = len(known) == len(date_classes) if by_position else tuple(date_classes) == known
    if not has_dates or not same:
        found = f"the classes {', '.join(known)}" if has_dates else "no masks of both dates"
        raise ValueError(
            f"the model tells from what to what, with {', '.join(date_classes)}; {data.entry.name} has {found}"
        )
    return dataclasses.replace(data, labels=tuple(from_to_labels(date_classes)), ignore_index=255)
