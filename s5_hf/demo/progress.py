"""Which steps are finished: a file that is written after each of them."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from ..files.atomic import write_text
from ..files.locks import LOCK_FILE
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
        FileExistsError: if the output folder holds something other than a demonstration, or would have to be cleared
            and holds files that the demonstration did not make. Nothing is removed then.

    Attributes:
        changes: why the demonstration starts anew, in words; empty if it resumes or is new.
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
            self._remove(set(found["files"]))
        folders.output.mkdir(parents=True, exist_ok=True)
        self.save()

    def is_finished(self, step: str) -> bool:
        """Whether a step was made."""
        return step in self.seconds

    def finish(self, step: str, seconds: float) -> None:
        """Note that a step was made."""
        self.seconds[step] = round(seconds, 2)
        self.save()

    def _read(self) -> dict[str, Any]:
        output, file = self._folders.output, self._folders.progress
        if file.is_file():
            return read_record(file)
        if output.exists() and any(path.name != LOCK_FILE for path in output.iterdir()):
            raise FileExistsError(f"{output} holds something else than a demonstration; remove it or choose another")
        return {}

    def _differences(self, found: dict[str, Any]) -> str:
        if not found:
            return ""
        former = found["settings"]
        changed = [name for name, value in self._wanted.items() if former.get(name) != value]
        return ", ".join(f"{name} is {self._wanted[name]}, was {former.get(name)}" for name in changed)

    def _remove(self, made: set[str]) -> None:
        """Clear the folder of what the demonstration has made."""
        others = sorted(self._files() - made)
        if others:
            raise FileExistsError(
                f"{self._folders.output} would have to be cleared ({self.changes}), but the demonstration did not "
                f"make {', '.join(others[:3])}{' and more' if len(others) > 3 else ''}; move that away, or choose "
                "another folder"
            )
        for path in self._folders.made():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                Path(path).unlink(missing_ok=True)

    def _files(self) -> set[str]:
        """Paths of all files and links in the output folder, relative to it."""
        output = self._folders.output
        found = (path for path in output.rglob("*") if path.is_symlink() or not path.is_dir())
        return {path.relative_to(output).as_posix() for path in found if path.name != LOCK_FILE}

    def save(self) -> None:
        """Write the record: after each step, and when the demonstration is stopped inside one."""
        files = sorted({*self._files(), self._folders.progress.name})
        content = {"settings": self._wanted, "finished": self.seconds, "files": files}
        write_text(self._folders.progress, json.dumps(content, indent=2))


def read_record(file: Path) -> dict[str, Any]:
    """The record of a demonstration.

    Raises:
        FileExistsError: if the file is something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        kinds = {name: type(content[name]) for name in ("settings", "finished", "files")}
    except (ValueError, KeyError, TypeError) as error:
        raise FileExistsError(
            f"{file} is not the record of a demonstration ({error!r}); remove it or choose another folder"
        ) from error
    if kinds != {"settings": dict, "finished": dict, "files": list}:
        raise FileExistsError(f"{file} is not the record of a demonstration; remove it or choose another folder")
    return content
