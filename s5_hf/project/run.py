"""A project from beginning to end: what is done is skipped, what has changed is repeated, the rest runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from ..errors import error_line
from ..files.atomic import write_text
from ..files.locks import folder_lock
from .bands import check_bands
from .commands import CommandStopped, quiet_libraries, run_command
from .folders import ProjectFolders
from .reading import read_project
from .record import Record, finished
from .settings import Project
from .steps import PARTS, Step, project_steps

__all__ = ["ProjectStepError", "ProjectStopped", "make", "run_project", "stoppable"]


class ProjectStepError(RuntimeError):
    """A step of a project failed; the message names the file, the section and what was wrong."""


class ProjectStopped(Exception):
    """Ctrl-C or SIGTERM stopped a project between or inside steps; the same call resumes it.

    Attributes:
        status: exit status for the command line.
    """

    def __init__(self, status: int) -> None:
        super().__init__("stopped; the same command resumes it")
        self.status = status


def run_project(
    project: Project | str | Path, until: str | None = None, report: Callable[[str], None] = print
) -> Path:
    """Go the way that a project file describes. Every step is a command that a user could type.

    Args:
        project: or the path of its file.
        until: the last part to be made, a key of `PARTS`; all if left out.
        report: takes what the user should know, a line at a time.

    Returns:
        The report, one HTML page about all steps that are done.

    Raises:
        ProjectStopped: on Ctrl-C or SIGTERM.
        FileExistsError: if something that the project has not made is in the way.
        BlockingIOError: if another run uses the folder.
        FileNotFoundError, ValueError: for a bad project file; names the key. Also for images that differ in bands or
            depth; names them.
        ProjectStepError: if a step fails; names its section of the file.
    """
    project = project if isinstance(project, Project) else read_project(project)
    steps = steps_until(project_steps(project), until, project.path)
    check_bands(project)
    folders = ProjectFolders(project.output)
    if folders.output.exists() and not folders.output.is_dir():
        raise NotADirectoryError(f"{project.path}: output: {folders.output} is a file; a folder is needed")
    with folder_lock(folders.output), stoppable():
        record = Record.read(folders.record)
        quiet_libraries()
        for number, step in enumerate(steps, 1):
            make(step, record, f"[{number:2}/{len(steps)}] {step.title}", project.path, report)
        from .report import write_project_report

        # Drawn anew every time: it takes seconds, and shows what lies in the folder.
        write_project_report(project, finished(record, project_steps(project)), record)
        total = sum(record.seconds(step) or 0 for step in steps)
    report(f"{len(steps)} steps in {total:.0f} s; open {folders.report}")
    return folders.report


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C or SIGTERM, in a command or between two, becomes ProjectStopped."""
    try:
        yield
    except CommandStopped as stop:
        raise ProjectStopped(stop.status) from None
    except KeyboardInterrupt:
        raise ProjectStopped(130) from None


def steps_until(steps: Sequence[Step], until: str | None, path: Path) -> list[Step]:
    """The steps up to the end of a part.

    Raises:
        ValueError: if there is no such part, or the project leaves it out.
    """
    if not steps:
        raise ValueError(f"{path}: every step is left out; there is nothing to do")
    if until is None:
        return list(steps)
    parts = list(PARTS)
    present = [part for part in parts if any(step.part == part for step in steps)]
    if until not in present:
        raise ValueError(f"{path} has no step {until!r}; it has {', '.join(present)}")
    return [step for step in steps if parts.index(step.part) <= parts.index(until)]


def make(step: Step, record: Record, head: str, path: Path, report: Callable[[str], None]) -> None:
    """Run one step unless it is done.

    Raises:
        ProjectStepError: if it fails.
    """
    if record.is_done(step):
        report(f"{head}: done before ({record.seconds(step):.0f} s)")
        return
    for change in record.changes(step):
        report(f"        anew, for this has changed: {change}")
    record.begin(step)
    if step.recipe is not None:
        file, content = step.recipe
        write_text(file, yaml.safe_dump(dict(content), sort_keys=False, width=110))
    report(f"{head}\n        {step.command}")
    begin = time.perf_counter()
    try:
        run_command(step.words)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ProjectStepError(f"{path}: {step.part}: {error_line(error)}") from error
    finally:
        record.pause(step, time.perf_counter() - begin)
    record.finish(step, 0.0)
