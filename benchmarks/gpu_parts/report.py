"""What a part found, as JSON that is whole at any moment, and the clock that keeps a part within its time."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

FAILURES = (
    *(RuntimeError, ValueError, OSError, ImportError, TypeError, AttributeError, LookupError, NotImplementedError),
    *(AssertionError, ArithmeticError, NameError, subprocess.SubprocessError),
)
"""What a measurement may raise without ending the others."""


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise a TimeoutError in the block when its time is over, where the system has alarms (Windows has none)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("the time of this part is over")

    former = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@dataclass
class Check:
    """A check of one machine.

    Attributes:
        output: JSON file.
        device: that is checked.
        smoke: whether everything is tiny, to try the program itself.
        seconds: after which no measurement begins.
        limit: seconds after which one that runs is ended.
        content: what was found so far.
    """

    output: Path
    device: torch.device
    smoke: bool
    seconds: float
    limit: float
    began: float = field(default_factory=time.monotonic)
    content: dict[str, Any] = field(default_factory=lambda: {"rows": [], "failed": {}, "skipped": []})

    def measure(self, name: str, run: Callable[[], dict[str, Any]], needs: float = 0.0) -> dict[str, Any] | None:
        """Note what a measurement gives, or why it failed, or that there was no time; the others go on.

        `needs` are the seconds that it takes longer than others.
        """
        if time.monotonic() - self.began + needs > self.seconds:
            self.content["skipped"].append(name)
            self.write()
            return None
        found, start = None, time.monotonic()
        try:
            with ended_after(self.began + self.limit - start):
                found = {"name": name, **run()}
            self.content["rows"].append({**found, "took": round(time.monotonic() - start, 1)})
        except FAILURES as error:
            self.content["failed"][name] = f"{type(error).__name__}: {str(error)[:600]}"
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        print(name, json.dumps(found) if found else f"failed: {self.content['failed'].get(name)}", flush=True)
        self.write()
        return found

    def widths(self, *names: str) -> dict[str, int]:
        """Settings of heads and decoders: narrow ones where everything is tiny, else those of the package."""
        return dict.fromkeys(names, 32) if self.smoke else {}

    def write(self) -> None:
        """Replace the file by a newer one."""
        temporary = self.output.with_suffix(".partial")
        temporary.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        temporary.replace(self.output)

    def autocast(self, precision: str) -> AbstractContextManager:
        """The context of a precision: "bf16" or "fp32"."""
        return torch.autocast(self.device.type, torch.bfloat16) if precision == "bf16" else nullcontext()

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
