"""Where a project keeps what it makes."""

from pathlib import Path

__all__ = ["ProjectFolders"]


class ProjectFolders:
    """Paths of everything that a project leaves.

    Attributes:
        output: the folder of all of it.
        curated: scores, selection, dataset and report of the curation.
        record: which steps are finished, with their settings.
        report: the page that shows everything.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.curated = output / "curated"
        self.record = output / "project.json"
        self.report = output / "report.html"

    def run(self, name: str) -> Path:
        """Folder of a training."""
        return self.output / "runs" / name

    def recipe(self, name: str) -> Path:
        """A recipe file."""
        return self.output / "recipes" / f"{name}.yaml"

    def evaluation(self, task: str) -> Path:
        """Report of the evaluation on a dataset."""
        return self.output / "evaluation" / task

    def accuracy(self, task: str) -> Path:
        """Report of the maps on ground that no training has seen."""
        return self.output / "accuracy" / task

    def maps(self, task: str) -> Path:
        """Maps of the scenes in the classes of a dataset."""
        return self.output / "maps" / task
