"""What every evaluation leaves: `results.json`, `results.md` and a picture."""

import json
import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ..files.atomic import atomic_file, write_text
from ..version import __version__
from .data import EvaluationData
from .protocols import EvaluationProtocol

__all__ = ["EvaluationResults", "percent", "table"]


@dataclass(frozen=True)
class EvaluationResults(ABC):
    """The outcome of an evaluation.

    Attributes:
        model: what was evaluated, as it was named.
        task: the model's task, `None` for a model without tasks.
        data: what it was evaluated on.
        protocol: how.
        images: number of images.
        scores: in percent; `None` if the images have no labels.
    """

    model: str
    task: str | None
    data: EvaluationData
    protocol: EvaluationProtocol
    images: int
    scores: dict[str, Any] | None

    @abstractmethod
    def published(self) -> tuple[str, float]:
        """The metric in which the dataset's results are published and its value in percent, NaN if not defined."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the specialist adds to the JSON file, besides scores."""

    @abstractmethod
    def remarks(self) -> list[str]:
        """Lines for people on the data."""

    @abstractmethod
    def written(self) -> list[str]:
        """A line for people on the predictions, if they were written."""

    @abstractmethod
    def score_lines(self) -> list[str]:
        """Lines for people on the classes, and tables of means and classes; there are scores."""

    @abstractmethod
    def picture(self, title: str) -> tuple[str, Image.Image]:
        """The name of the picture's file, and the picture; there are scores."""

    def headline(self) -> str:
        """The published metric in percent, for people."""
        if self.scores is None:
            return "no labels"
        metric, value = self.published()
        return f"{metric} {percent(value)}"

    def title(self) -> str:
        """Dataset, split and headline."""
        return f"{self.data.entry.title}, {self.data.split}: {self.headline()}"

    def as_json(self) -> dict[str, Any]:
        """Plain data; scores in percent, `None` for what is not defined."""
        content = {
            "model": self.model,
            "task": self.task,
            "dataset": self.data.entry.name,
            "split": self.data.split,
            "images": self.images,
            "protocol": asdict(self.protocol),
            "s5_hf": __version__,
            **self.facts(),
        }
        if self.scores is not None:
            metric, value = self.published()
            content |= {"metric": metric, "unit": "percent", "value": value, **self.scores}
        return _without_nan(content)

    def as_markdown(self) -> str:
        """The same for people."""
        lines = [
            f"# {self.title()}",
            "",
            f"- Model: `{self.model}`" + (f", task `{self.task}`" if self.task else ""),
            f"- Dataset: `{self.data.entry.name}`, split `{self.data.split}`, images: {self.images:,}",
            f"- Protocol: {self.protocol.name} ({self.protocol.describe()})",
        ]
        if self.data.labels_of_model:
            lines.append(
                "- Classes: those of the model, as the dataset names none: `classes` of the builder names them"
            )
        lines += self.remarks()
        if self.data.entry.evaluation is not None and self.data.entry.evaluation.note:
            lines.append(f"- Note: {self.data.entry.evaluation.note}")
        lines += self.written()
        if self.scores is not None:
            lines += self.score_lines()
        return "\n".join([*lines, ""])

    def write(self, folder: str | Path) -> None:
        """Write `results.json`, `results.md` and, where there are scores, a picture, each whole or not at all."""
        folder = Path(folder)
        texts = {"results.json": json.dumps(self.as_json(), indent=2), "results.md": self.as_markdown()}
        for name, text in texts.items():
            write_text(folder / name, text)
        if self.scores is not None:
            name, picture = self.picture(self.title())
            with atomic_file(folder / name) as temporary:
                picture.save(temporary, format="PNG")


def percent(value: float) -> str:
    """A score, which is in percent, with two decimals; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.2f}"


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; numbers to the right, a column called class to the left."""
    rule = ["---" if name == "class" else "---:" for name in header]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _without_nan(value: Any) -> Any:
    """The same data with None in place of NaN and infinite numbers, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
