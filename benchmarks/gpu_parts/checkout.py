"""The package from a checkout that is not installed: some of its parts lie beside it there, not in it."""

import importlib
import sys
import tempfile
from pathlib import Path

BESIDE = ("modeling", "dataset_builders", "examples")
_folders: list[tempfile.TemporaryDirectory] = []  # as long as the process lives


def make_importable(root: Path, name: str = "s5_hf") -> None:
    """Make the package importable from a checkout; where it is installed, nothing is done.

    Otherwise a temporary folder gets links to its parts, and is the first place to look for modules. It is removed
    when the process ends.
    """
    try:
        importlib.import_module(f"{name}.modeling")
        return
    except ModuleNotFoundError as error:
        if not str(error.name).startswith(f"{name}."):
            raise
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]
    folder = tempfile.TemporaryDirectory()
    _folders.append(folder)
    package = Path(folder.name) / name
    package.mkdir()
    for part in [*(root / name).iterdir(), *(root / part for part in BESIDE)]:
        (package / part.name).symlink_to(part)
    sys.path.insert(0, folder.name)
    importlib.invalidate_caches()
    importlib.import_module(f"{name}.modeling")
