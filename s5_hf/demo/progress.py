"""Which steps are finished: a file that is written after each of them."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from ..atomic import atomic_file
from ..version import __version__
from .folders import DemoFolders
from .settings import DemoSettings

__all__ = ["Progress"]


class Progress:
    """The finished steps of a demonstration, with the seconds that each took.

    Args:
        folders: of the demonstration.
        settings: its sizes.

    Raises:
        FileExistsError: if the output folder holds something else than a demonstration.
        NotADirectoryError: if it is a file.

    Attributes:
        changes: why the demonstration starts anew, in words; empty if it goes on or is new.
    """

    def __init__(self, folders: DemoFolders, settings: DemoSettings) -> None:
        self._folders = folders
        self._wanted = {**dataclasses.asdict(settings), "output": str(folders.output), "version": __version__}
        self.seconds: dict[str, float] = {}
        found = self._read()
        self.changes = self._differences(found)
        if found and not self.changes:
            self.seconds = dict(found["finished"])
        elif found:
            self._remove()
        folders.output.mkdir(parents=True, exist_ok=True)
        self._write()

    def is_finished(self, step: str) -> bool:
        """Whether a step was made."""
        return step in self.seconds

    def finish(self, step: str, seconds: float) -> None:
        """Note that a step was made."""
        self.seconds[step] = round(seconds, 2)
        self._write()

    def _read(self) -> dict[str, Any]:
        output, file = self._folders.output, self._folders.progress
        if output.exists() and not output.is_dir():
            raise NotADirectoryError(f"{output} is a file; the demonstration needs a folder")
        if file.is_file():
            try:
                return json.loads(file.read_text(encoding="utf-8"))
            except json.JSONDecodeError:
                return {"settings": {}, "finished": {}}
        if output.exists() and any(output.iterdir()):
            raise FileExistsError(f"{output} holds something else than a demonstration; remove it or choose another")
        return {}

    def _differences(self, found: dict[str, Any]) -> str:
        if not found:
            return ""
        former = found["settings"]
        changed = [name for name, value in self._wanted.items() if former.get(name) != value]
        return ", ".join(f"{name} is {self._wanted[name]}, was {former.get(name)}" for name in changed)

    def _remove(self) -> None:
        for path in self._folders.made():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                Path(path).unlink(missing_ok=True)

    def _write(self) -> None:
        content = {"settings": self._wanted, "finished": self.seconds}
        with atomic_file(self._folders.progress) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
