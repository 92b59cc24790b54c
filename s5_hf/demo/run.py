"""The demonstration: synthetic data, a project file about them, and the project with some steps besides."""

from collections.abc import Callable
from pathlib import Path

import yaml

from ..files.atomic import write_text
from ..files.locks import LOCK_FILE, folder_lock
from ..project import read_project
from ..project.commands import find_examples, quiet_libraries
from ..project.folders import ProjectFolders
from ..project.record import Record
from ..project.run import make, stoppable
from .chain import chain, data_step, project_content
from .pair import pair_steps
from .settings import DemoSettings

__all__ = ["PROJECT_FILE", "run_demo"]

PROJECT_FILE = "project.yaml"


def run_demo(output: str | Path, settings: DemoSettings | None = None, report: Callable[[str], None] = print) -> Path:
    """Run the whole chain of S5 on synthetic scenes: every step is a command that a user could type.

    It writes a project file, which `s5-hf run` takes as well.

    Args:
        output: folder for everything. A demonstration that was stopped resumes; with other settings, the steps that
            depend on them are repeated.
        settings: sizes.
        report: takes what the user should know, a line at a time.

    Returns:
        The report, one HTML page.

    Raises:
        ProjectStopped: on Ctrl-C or SIGTERM.
        ProjectStepError: if a step fails.
        FileExistsError: if the folder holds something other than a demonstration. Only what a demonstration
            has made is ever removed.
        ValueError: if its record of finished steps is not one.
        BlockingIOError: if another run uses the folder.
        FileNotFoundError: if the example scripts are not there.
    """
    settings, folders = settings or DemoSettings(), ProjectFolders(Path(output))
    find_examples()
    if folders.output.exists() and not folders.output.is_dir():
        raise NotADirectoryError(f"{folders.output} is a file; the demonstration needs a folder")
    with folder_lock(folders.output), stoppable():
        record = Record.read(folders.record)
        refuse_others(folders, record)
        quiet_libraries()
        path, data = folders.output / PROJECT_FILE, data_step(settings, folders.output)
        make(data, record, f"[ data] {data.title}", path, report)
        write_text(path, yaml.safe_dump(project_content(settings), sort_keys=False, width=110))
        project = read_project(path)
        steps = [*chain(project), *pair_steps(settings, folders.output)]
        for number, step in enumerate(steps, 1):
            make(step, record, f"[{number:2}/{len(steps)}] {step.title}", path, report)
        # Drawn anew every time: it takes seconds, and shows what lies in the folder.
        from .report import write_demo_report

        write_demo_report(settings, project, [data, *steps], record)
        total = sum(record.seconds(step) or 0 for step in [data, *steps])
    report(f"{len(steps)} steps in {total:.0f} s; open {folders.report}")
    return folders.report


def refuse_others(folders: ProjectFolders, record: Record) -> None:
    """Raise a FileExistsError if the folder holds something, but no demonstration."""
    if "data" not in record.steps and any(path.name != LOCK_FILE for path in folders.output.iterdir()):
        raise FileExistsError(
            f"{folders.output} holds something else than a demonstration; remove it or choose another"
        )
