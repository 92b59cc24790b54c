"""Many scenes: which files stand for them, how processes share them, and what happens when one fails."""

import glob
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState

from ..dataset_builders.images import EXTENSIONS
from ..predictors.image_probabilities import NonFiniteOutputError
from .scene_names import is_remote
from .scene_run import require_distinct

__all__ = ["SCENE_SUFFIXES", "SceneShare", "find_scenes"]

SCENE_SUFFIXES = (*EXTENSIONS, ".vrt", ".jp2", ".img")
"""What counts as a scene in a folder."""

Result = TypeVar("Result")


def find_scenes(places: Sequence[str | Path]) -> list[str]:
    """The scenes that files, folders, glob patterns and URLs stand for, sorted within each place, each once.

    Raises:
        FileNotFoundError: a place holds no scene.
    """
    scenes: dict[str, None] = {}
    for place in map(str, places):
        found = [place] if is_remote(place) or Path(place).is_file() else _scenes_of(place)
        if not found:
            raise FileNotFoundError(
                f"{place} is not a scene: expected a file, a URL, a folder or a pattern that matches files of the "
                f"kinds {', '.join(SCENE_SUFFIXES)}"
            )
        scenes.update(dict.fromkeys(found))
    return list(scenes)


def _scenes_of(place: str) -> list[str]:
    if Path(place).is_dir():
        return sorted(str(path) for path in Path(place).iterdir() if path.suffix.lower() in SCENE_SUFFIXES)
    return sorted(path for path in glob.glob(place, recursive=True) if Path(path).is_file())  # noqa: PTH207 - ~ and **


class SceneShare:
    """The scenes that this process makes, of all the scenes of a run under `accelerate launch` or `torchrun`.

    Args:
        products: every scene, and the files that are made of it.

    Attributes:
        own: the scenes of this process.
        state: of the process among the others.

    Raises:
        ValueError: two scenes would have the same file, or a scene would be replaced.
    """

    def __init__(self, products: Mapping[str | Path, Iterable[Path]]) -> None:
        require_distinct(products)
        # A process that is done waits for the others, however long: torchrun ends them all when one fails.
        self.state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=30))
        self.own = list(products)[self.state.process_index :: self.state.num_processes]
        self._is_single = len(products) == 1
        self._failures: list[str] = []

    @property
    def device(self) -> str | None:
        """The device of this process; None if it is the only one, which has them all."""
        return str(self.state.device) if self.state.num_processes > 1 else None

    def make_all(self, make: Callable[[str | Path], Result], report: Callable[[str], None]) -> list[Result]:
        """The results of this process's scenes. A scene that fails does not stop the others, unless it is alone.

        Args:
            make: from a scene to its result.
            report: takes a line for each scene that fails.
        """
        self.state.wait_for_everyone()  # no process begins before all have checked their files
        results = []
        for source in self.own:
            try:
                results.append(make(source))
            except (OSError, ValueError, NonFiniteOutputError) as error:
                if self._is_single:
                    raise
                self._failures.append(f"{source}: {error}")
                report(f"failed: {self._failures[-1]}")
        return results

    def finish(self) -> None:
        """Wait for the other processes.

        Raises:
            RuntimeError: scenes of this process failed; the message names them all.
        """
        self.state.wait_for_everyone()
        if self._failures:
            failed = f"{len(self._failures)} of {len(self.own)} scenes failed:"
            raise RuntimeError("\n".join([failed, *self._failures]))
