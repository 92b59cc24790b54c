"""The report of the demonstration: one HTML page with the commands, what they made, and how it compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files.atomic import atomic_file
from ..pages.parts import commands, page
from .chain import PARTS, Step
from .folders import DemoFolders
from .sections import SECTIONS, overview
from .settings import DemoSettings

__all__ = ["write_demo_report"]


def write_demo_report(
    settings: DemoSettings, folders: DemoFolders, steps: Sequence[Step], seconds: Mapping[str, float]
) -> Path:
    """Write the report on a finished chain.

    Args:
        settings: sizes of the demonstration.
        folders: of the demonstration.
        steps: of the chain, all finished.
        seconds: that each step took, by its name.

    Returns:
        The path of the page.
    """
    content = overview(settings, folders, sum(seconds[step.name] for step in steps))
    for number, (part, heading) in enumerate(PARTS.items(), 1):
        made_by = [(step.command, seconds[step.name]) for step in steps if step.part == part]
        content += f'<h2 id="{part}">{number}. {heading}</h2>' + commands(made_by) + SECTIONS[part](settings, folders)
    with atomic_file(folders.report) as temporary:
        temporary.write_text(page("S5 in miniature", content), encoding="utf-8")
    return folders.report
