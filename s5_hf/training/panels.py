"""Pictures of validations in the folder of a run."""

from pathlib import Path

from PIL import Image

from ..files.atomic import atomic_file

__all__ = ["write_panel"]


def write_panel(path: Path, panel: Image.Image) -> None:
    """Write a picture as PNG, whole or not at all; what a killed run has left half-written beside it is removed.

    Raises:
        OSError: the picture cannot be written.
    """
    for leftover in path.parent.glob(".*.png.*partial"):
        leftover.unlink(missing_ok=True)
    with atomic_file(path) as temporary:
        panel.save(temporary, format="PNG")
