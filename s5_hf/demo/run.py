"""The demonstration from start to end: finished steps are skipped, the others run, the report shows them all."""

import time
from collections.abc import Callable
from pathlib import Path

from ..files.locks import folder_lock
from ..project.commands import CommandStopped, find_examples, quiet_libraries, run_command
from .chain import chain
from .folders import DemoFolders
from .progress import Progress
from .recipes import write_recipes
from .settings import DemoSettings

__all__ = ["DemoStopped", "run_demo"]


class DemoStopped(Exception):
    """Ctrl-C or SIGTERM stopped the demonstration between or inside steps; the same call resumes it.

    Attributes:
        status: exit status for the command line.
    """

    def __init__(self, status: int) -> None:
        super().__init__("the demonstration was stopped; the same command resumes it")
        self.status = status


def run_demo(output: str | Path, settings: DemoSettings | None = None, report: Callable[[str], None] = print) -> Path:
    """Run the whole chain of S5 on made-up scenes: every step is a command that a user could type.

    Args:
        output: folder for everything. A demonstration that was stopped resumes; one with other settings is replaced.
        settings: sizes.
        report: takes what the user should know, a line at a time.

    Returns:
        The report, one HTML page.

    Raises:
        DemoStopped: on Ctrl-C or SIGTERM.
        FileExistsError: if the folder holds something other than a demonstration. Only what a demonstration
            has made is ever removed.
        BlockingIOError: if another run uses the folder.
        FileNotFoundError: if the example scripts are not there.
    """
    settings, folders, examples = settings or DemoSettings(), DemoFolders(Path(output)), find_examples()
    if folders.output.exists() and not folders.output.is_dir():
        raise NotADirectoryError(f"{folders.output} is a file; the demonstration needs a folder")
    with folder_lock(folders.output):
        progress = Progress(folders, settings)
        try:
            run_chain(settings, folders, progress, examples, report)
        finally:
            progress.save()
    return folders.report


def run_chain(
    settings: DemoSettings, folders: DemoFolders, progress: Progress, examples: Path, report: Callable[[str], None]
) -> None:
    """Run the steps that are not finished, and draw the report."""
    if progress.changes:
        report(f"starting anew: {progress.changes}")
    quiet_libraries()
    try:
        write_recipes(settings, folders)
        steps = chain(settings, folders)
        for number, step in enumerate(steps, 1):
            head = f"[{number:2}/{len(steps)}] {step.title}"
            if progress.is_finished(step.name):
                report(f"{head}: done before ({progress.seconds[step.name]:.0f} s)")
                continue
            report(f"{head}\n        {step.command}")
            begin = time.perf_counter()
            run_command(step.words, examples)
            progress.finish(step.name, time.perf_counter() - begin)
        # Drawn anew every time: it takes seconds, and shows what lies in the folder.
        from .report import write_demo_report

        write_demo_report(settings, folders, steps, progress.seconds)
    except CommandStopped as stop:
        raise DemoStopped(stop.status) from None
    except KeyboardInterrupt:
        raise DemoStopped(130) from None
    report(f"{len(steps)} steps in {sum(progress.seconds.values()):.0f} s; open {folders.report}")
