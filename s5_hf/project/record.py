"""Which steps of a project are done, and with which settings: a file that is written after each of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files.atomic import write_text
from .steps import Step

__all__ = ["Record"]

_UNKNOWN = object()


@dataclass
class Record:
    """The record of a project.

    Attributes:
        path: of the file.
        steps: by name: settings, seconds (`None` while it is not finished), and number of the run, which changes
            whenever it is begun anew.
    """

    path: Path
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record in a file, an empty one if there is none.

        Raises:
            ValueError: if the file is something else.
        """
        if not path.is_file():
            return cls(path)
        try:
            steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
            for entry in steps.values():
                entry["settings"], entry["seconds"], entry["run"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{path} is not the record of a project ({error!r}): remove it, or choose another output"
            ) from error
        return cls(path, steps)

    def settings_of(self, step: Step) -> dict[str, Any]:
        """What the result of a step depends on: its own settings, and which runs of other steps it follows."""
        followed = {name: self.steps[name]["run"] for name in step.after if name in self.steps}
        return {**step.settings(), "after": followed}

    def changes(self, step: Step) -> list[str]:
        """What differs from the settings that a step was begun with, in words; empty if nothing does."""
        found = self.steps.get(step.name)
        return [] if found is None else differences(found["settings"], self.settings_of(step))

    def is_done(self, step: Step) -> bool:
        """Whether the result of a step is there, made with the settings of now."""
        found = self.steps.get(step.name)
        if found is None or found["seconds"] is None or self.changes(step):
            return False
        return all(path.exists() for path in step.makes)

    def begin(self, step: Step) -> None:
        """Note that a step begins. What it left with other settings is removed; what it left unfinished is kept.

        Raises:
            FileExistsError: if something is in the way that the project has not made. Nothing is removed then.
        """
        found, settings = self.steps.get(step.name), self.settings_of(step)
        taken = [path for path in step.makes if path.exists()]
        if found is None and taken:
            raise FileExistsError(f"{taken[0]} is there already, and this project has not made it: move it away")
        if found is None or found["settings"] != settings:
            for path in taken:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            run = 1 if found is None else found["run"] + 1
            self.steps[step.name] = {"settings": settings, "seconds": None, "spent": 0.0, "run": run}
        elif found["seconds"] is not None:  # its result was removed by somebody
            self.steps[step.name] = {**found, "seconds": None, "spent": 0.0, "run": found["run"] + 1}
        self.save()

    def pause(self, step: Step, seconds: float) -> None:
        """Note how long a step has worked that was stopped."""
        self.steps[step.name]["spent"] += seconds
        self.save()

    def finish(self, step: Step, seconds: float) -> None:
        """Note that a step is done."""
        entry = self.steps[step.name]
        entry["seconds"] = round(entry["spent"] + seconds, 2)
        self.save()

    def seconds(self, step: Step) -> float | None:
        """What a finished step took, `None` for one that is not finished."""
        return self.steps.get(step.name, {}).get("seconds")

    def save(self) -> None:
        """Write the file."""
        write_text(self.path, json.dumps({"steps": self.steps}, indent=2))


def differences(former: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """What has changed between two settings of a step, in words."""
    words = []
    if former["command"] != present["command"]:
        words.append("its command")
    old, new = former["recipe"] or {}, present["recipe"] or {}
    keys = [
        key
        for key in [*new, *(key for key in old if key not in new)]
        if old.get(key, _UNKNOWN) != new.get(key, _UNKNOWN)
    ]
    words += [f"{key}: {shown(old, key)} before, {shown(new, key)} now" for key in keys]
    words += [
        f"the files in {place}" for place, digest in present["data"].items() if former["data"].get(place) != digest
    ]
    words += [
        f"the step {name} was made anew" for name, run in present["after"].items() if former["after"].get(name) != run
    ]
    if set(former["after"]) - set(present["after"]):
        words.append("a step before it is left out now")
    return words


def shown(settings: Mapping[str, Any], key: str, longest: int = 60) -> str:
    """A value of a recipe, short."""
    value = repr(settings[key]) if key in settings else "the default"
    return value if len(value) <= longest else f"{value[: longest - 3]}..."


def finished(record: Record, steps: Sequence[Step]) -> list[Step]:
    """The steps that are done."""
    return [step for step in steps if record.is_done(step)]
