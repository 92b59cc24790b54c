"""What an evaluation by samples leaves: scores, what was made of every sample, and a picture of the first ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ...files.atomic import write_text
from ..report import EvaluationResults, percent, table

__all__ = ["SampleResults"]


@dataclass(frozen=True)
class SampleResults(EvaluationResults):
    """The outcome.

    Attributes:
        metric: name of the score for the headline.
        unit: of it.
        counts: what the scores were computed from, as numbers that add up over samples.
        rows: what was made of every sample, in the order of the samples.
        rows_file: name of the JSON file for them.
        sheet: picture of the first samples; `None` on other processes than the main one.
        notes: lines for people.
    """

    metric: str
    unit: str
    counts: Mapping[str, float]
    rows: Sequence[Mapping[str, Any]]
    rows_file: str
    sheet: Image.Image | None
    notes: Sequence[str] = ()

    def published(self) -> tuple[str, float]:
        return self.metric, self.scores[self.metric]

    def facts(self) -> dict[str, Any]:
        return {"counts": dict(self.counts)}

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "unit": self.unit}

    def remarks(self) -> list[str]:
        return [f"- {note}" for note in self.notes]

    def written(self) -> list[str]:
        return [f"- Of every sample: `{self.rows_file}`"] if self.rows else []

    def score_lines(self) -> list[str]:
        plain = {name: value for name, value in self.scores.items() if not isinstance(value, Mapping)}
        lines = ["", *table(list(plain), [[_number(value) for value in plain.values()]])]
        for title, values in self.scores.items():
            if isinstance(values, Mapping):
                lines += ["", f"{title}:", "", *table(list(values), [[_number(value) for value in values.values()]])]
        return lines

    def picture(self, title: str) -> tuple[str, Image.Image]:
        assert self.sheet is not None  # the main process writes
        return "samples.png", self.sheet

    def write(self, folder: str | Path) -> None:
        super().write(folder)
        if self.rows:
            write_text(Path(folder) / self.rows_file, json.dumps(list(self.rows), indent=1) + "\n")


def _number(value: float) -> str:
    return str(value) if math.isinf(value) else percent(value)
