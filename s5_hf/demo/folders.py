"""Where the demonstration keeps what."""

from pathlib import Path

__all__ = ["DemoFolders"]


class DemoFolders:
    """Paths of everything that a demonstration leaves.

    Attributes:
        output: the folder of the demonstration.
        data: labelled sets, archive and scene.
        first_segmenter: the model that scores the archive.
        curated: scores, selection, dataset and report of the curation.
        maps: maps of the scene.
        official: the model in the official layout, and back.
        progress: which steps are finished.
        report: the page that shows everything.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.data = output / "data"
        self.first_segmenter = output / "first-segmenter"
        self.curated = output / "curated"
        self.maps = output / "maps"
        self.official = output / "official"
        self.progress = output / "demo.json"
        self.report = output / "report.html"

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
