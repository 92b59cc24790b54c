"""What an assessment leaves: `accuracy.json`, `accuracy.md` and `confusion_matrix.png`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...files.atomic import atomic_file, write_text
from ..pictures import draw_confusion_matrix
from ..report import table
from .estimates import CONFIDENCE, SampleEstimates, cohens_kappa

__all__ = ["AccuracyResult"]

_FORMAT = "s5_hf accuracy 1"


@dataclass(frozen=True)
class AccuracyResult:
    """The accuracy of a map. Shares are in 0..1; the files hold percent.

    Attributes:
        map: path of the map.
        reference: what it was compared with.
        classes: names in the order of the ids.
        counts: `(C, C)` pixels or points, classes of the map in rows, of the reference in columns.
        mapped_pixels: `(C,)` pixels of each class in the whole map.
        square_metres: of the whole map, where its coordinates say so.
        estimates: from a sample of points; None where a whole area was compared.
        warnings: what a user should know, a sentence each.
        errors: the map of errors; None for points.
    """

    map: str
    reference: tuple[str, ...]
    classes: tuple[str, ...]
    counts: np.ndarray
    mapped_pixels: np.ndarray
    square_metres: float | None
    estimates: SampleEstimates | None
    warnings: tuple[str, ...]
    errors: Path | None = None

    @property
    def overall(self) -> float:
        """Overall accuracy."""
        return float(self.counts.trace() / self.counts.sum()) if self.estimates is None else self.estimates.overall

    @property
    def users(self) -> np.ndarray:
        """User's accuracy (precision) of each class; NaN for a class that the map does not show where compared."""
        return _ratio(self.counts.diagonal(), self.counts.sum(1)) if self.estimates is None else self.estimates.users

    @property
    def producers(self) -> np.ndarray:
        """Producer's accuracy (recall) of each class; NaN for a class that the reference does not have."""
        if self.estimates is None:
            return _ratio(self.counts.diagonal(), self.counts.sum(0))
        return self.estimates.producers

    @property
    def f1(self) -> np.ndarray:
        """F1 of each class."""
        if self.estimates is None:
            return _ratio(2 * self.counts.diagonal(), self.counts.sum(0) + self.counts.sum(1))
        return self.estimates.f1

    @property
    def average(self) -> float:
        """Average accuracy: the mean of the producer's accuracies of the classes that the reference has."""
        producers = self.producers
        return float(np.nanmean(producers)) if np.isfinite(producers).any() else math.nan

    @property
    def kappa(self) -> float:
        """Cohen's kappa, for comparison with older work."""
        return cohens_kappa(self.counts) if self.estimates is None else self.estimates.kappa

    def as_json(self) -> dict[str, Any]:
        """Plain data, scores in percent, `None` for what is not defined. `margin` is half an interval of 95 %."""
        return {
            "format": _FORMAT,
            "map": self.map,
            "reference": list(self.reference),
            "kind": "area" if self.estimates is None else "points",
            "compared": int(self.counts.sum()),
            "unit": "percent",
            "overall_accuracy": _percent(self.overall),
            "average_accuracy": _percent(self.average),
            **({} if self.estimates is None else {"overall_margin": _margin(self.estimates.overall_error)}),
            "per_class": {name: self._class_as_json(index) for index, name in enumerate(self.classes)},
            "confusion_matrix": {
                "rows": "map", "columns": "reference", "classes": list(self.classes), "counts": self.counts.tolist(),
            },
            "kappa": None if math.isnan(self.kappa) else self.kappa,
            "error_map": None if self.errors is None else self.errors.name,
            "warnings": list(self.warnings),
        }  # fmt: skip

    def _class_as_json(self, index: int) -> dict[str, Any]:
        shares = self.mapped_pixels / max(1, self.mapped_pixels.sum())
        row: dict[str, Any] = {
            "users_accuracy": _percent(self.users[index]),
            "producers_accuracy": _percent(self.producers[index]),
            "F1": _percent(self.f1[index]),
            "mapped_share": _percent(shares[index]),
        }
        hectares = None if self.square_metres is None else self.square_metres / 1e4
        if hectares is not None:
            row["mapped_hectares"] = hectares * shares[index]
        found = self.estimates
        if found is not None:
            row |= {
                "users_margin": _margin(found.users_error[index]),
                "producers_margin": _margin(found.producers_error[index]),
                "estimated_share": _percent(found.areas[index]),
                "share_margin": _margin(found.areas_error[index]),
            }
            if hectares is not None:
                margin = row["share_margin"]
                row["estimated_hectares"] = hectares * float(found.areas[index])
                row["hectares_margin"] = None if margin is None else hectares * margin / 100
        return row

    def as_markdown(self) -> str:
        """The same for people."""
        content = self.as_json()
        what = "points" if self.estimates is not None else "pixels"
        overall = _shown(content["overall_accuracy"], content.get("overall_margin"))
        places = ", ".join(f"`{place}`" for place in self.reference)
        lines = [
            f"# Accuracy of {Path(self.map).name}: {overall} %",
            "",
            f"- Map: `{self.map}`",
            f"- Reference: {places}; {content['compared']:,} {what} compared",
            *([f"- Map of errors: `{self.errors.name}` (1 right, 2 wrong)"] if self.errors else []),
            *([_ON_POINTS] if self.estimates is not None else []),
            *(f"- Warning: {warning}" for warning in self.warnings),
            "",
            *self._score_lines(content["per_class"]),
            "",
            f"Confusion matrix, {what}; a row is a class of the map, a column one of the reference:",
            "",
            *table(
                ["class", *self.classes],
                [
                    [name, *(f"{n:,}" for n in row)]
                    for name, row in zip(self.classes, self.counts.tolist(), strict=True)
                ],
            ),
            "",
            f"Average accuracy (mean of the producer's accuracies): {_shown(content['average_accuracy'])} %. "
            f"Cohen's kappa: {self.kappa:.3f}. It is here for comparison with older work; it says nothing that the "
            "numbers above do not say better.",
        ]
        return "\n".join([*lines, ""])

    def _score_lines(self, per_class: dict[str, dict[str, Any]]) -> list[str]:
        header = ["class", "user's accuracy", "producer's accuracy", "F1", "share of the map"]
        rows = [
            [
                name,
                _shown(row["users_accuracy"], row.get("users_margin")),
                _shown(row["producers_accuracy"], row.get("producers_margin")),
                _shown(row["F1"]),
                _shown(row["mapped_share"]),
            ]
            for name, row in per_class.items()
        ]
        if self.estimates is not None:
            header.append("real share of the ground")
            for cells, row in zip(rows, per_class.values(), strict=True):
                cells.append(_shown(row["estimated_share"], row["share_margin"]))
            if self.square_metres is not None:
                header.append("hectares")
                for cells, row in zip(rows, per_class.values(), strict=True):
                    cells.append(_shown(row["estimated_hectares"], row["hectares_margin"]))
        return table(header, rows)

    def write(self, folder: str | Path) -> None:
        """Write the files, each whole or not at all."""
        folder = Path(folder)
        write_text(folder / "accuracy.json", json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n")
        write_text(folder / "accuracy.md", self.as_markdown())
        # Points are not spread evenly over the ground; the picture shows the ground that they stand for.
        shown = self.counts if self.estimates is None else self.estimates.proportions
        title = Path(self.map).name + ("" if self.estimates is None else f", from {self.counts.sum():,} points")
        picture = draw_confusion_matrix(shown.T, self.classes, title)
        with atomic_file(folder / "confusion_matrix.png") as temporary:
            picture.save(temporary, format="PNG")


_ON_POINTS = (
    "- Estimates of a stratified sample, the classes of the map being the strata (Olofsson et al. 2014); ± is "
    "half of a 95 % confidence interval"
)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else 100 * float(share)


def _margin(error: float) -> float | None:
    return _percent(CONFIDENCE * error)


def _shown(value: float | None, margin: float | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if margin is None else f"{value:,.2f} ± {margin:,.2f}"
