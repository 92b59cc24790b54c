"""Where the demonstration keeps what."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["DemoFolders"]


@dataclass(frozen=True)
class DemoFolders:
    """Paths of everything that a demonstration leaves.

    Attributes:
        output: the folder of the demonstration.
    """

    output: Path

    @property
    def data(self) -> Path:
        """Labelled sets, archive and scene."""
        return self.output / "data"

    @property
    def first_segmenter(self) -> Path:
        """The model that scores the archive."""
        return self.output / "first-segmenter"

    @property
    def curated(self) -> Path:
        """Scores, selection, dataset and report of the curation."""
        return self.output / "curated"

    @property
    def maps(self) -> Path:
        """Maps of the scene."""
        return self.output / "maps"

    @property
    def official(self) -> Path:
        """The model in the official layout, and back."""
        return self.output / "official"

    @property
    def progress(self) -> Path:
        """Which steps are finished."""
        return self.output / "demo.json"

    @property
    def report(self) -> Path:
        """The page that shows everything."""
        return self.output / "report.html"

    def run(self, name: str) -> Path:
        """Folder of a training run."""
        return self.output / "runs" / name

    def segmenter(self, run: str) -> Path:
        """The model that a run left."""
        return self.run(run) / "segmenter"

    def recipe(self, name: str) -> Path:
        """A recipe file."""
        return self.output / "recipes" / f"{name}.yaml"

    def evaluation(self, task: str) -> Path:
        """Report of the evaluation on a task."""
        return self.output / "evaluation" / task

    def made(self) -> list[Path]:
        """Everything at the top of the output folder."""
        names = ("runs", "recipes", "evaluation")
        folders = [self.data, self.first_segmenter, self.curated, self.maps, self.official]
        return [*folders, *(self.output / name for name in names), self.report, self.progress]
