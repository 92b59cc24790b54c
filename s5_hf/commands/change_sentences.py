"""Sentences of `s5-hf change --caption`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..change import ChangeCaptioner
    from ..scenes import SceneReading


def load_fitting_captioner(
    name: str, before: str, after: str, reading: "SceneReading", device: str | None
) -> "ChangeCaptioner":
    """A captioner that can read the scenes: what does not fit is found before the maps are made."""
    from ..change import load_captioner, open_captioned

    captioner = load_captioner(name, device)
    with open_captioned(captioner, before, after, reading):
        return captioner


def write_captions(
    captioner: "ChangeCaptioner | None",
    before: str,
    after: str,
    output: Path,
    maps: "Sequence[Path]",
    dates: str,
    common: dict[str, Any],
) -> None:
    """Write and print sentences about what changed, where a captioner is given."""
    if captioner is None:
        return
    from ..change import caption_scene_changes

    day_before, _, day_after = dates.partition(",")
    path, captions = caption_scene_changes(
        captioner,
        before,
        after,
        output,
        maps=maps,
        reading=common["reading"],
        align=common["align"],
        dates=(day_before.strip(), day_after.strip()),
        overwrite=common["overwrite"] or common["resume"],
        report=lambda line: None,  # said before
    )
    typer.echo(str(path))
    for found in captions:
        typer.echo(f"  {found.window.left}, {found.window.top}: {found.text}")
