"""Many scenes: how processes share them, and what happens when one fails."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState

from ..files.processes import share_processor
from ..predictors.image_probabilities import NonFiniteOutputError
from .scene_run import require_distinct

__all__ = ["SceneShare"]

Result = TypeVar("Result")


class SceneShare:
    """The scenes that this process makes, of all the scenes of a run under `accelerate launch` or `torchrun`.

    Args:
        products: every scene, and the files that are made of it.
        by_rows: whether processes make scenes together where there are fewer scenes than processes.

    Attributes:
        own: the scenes of this process.
        together: whether all processes make each scene together.
        state: of the process among the others.

    Raises:
        ValueError: two scenes would have the same file, or a scene would be replaced.
    """

    def __init__(self, products: Mapping[str | Path, Iterable[Path]], by_rows: bool = False) -> None:
        require_distinct(products)
        # A process that is done waits for the others, however long: torchrun ends them all when one fails.
        self.state = PartialState(cpu=share_processor(), timeout=timedelta(days=30))
        self.together = by_rows and len(products) < self.state.num_processes
        first, step = (0, 1) if self.together else (self.state.process_index, self.state.num_processes)
        self.own = list(products)[first::step]
        self._fails_at_once = self.together or len(products) == 1
        self._failures: list[str] = []

    @property
    def device(self) -> str | None:
        """The device of this process; None if it is the only one, which has them all."""
        return str(self.state.device) if self.state.num_processes > 1 else None

    def make_all(self, make: Callable[[str | Path], Result], report: Callable[[str], None]) -> list[Result]:
        """The results of this process's scenes. A scene that fails does not stop the others, unless it is alone, or
        others make it too.

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
                if self._fails_at_once:
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
