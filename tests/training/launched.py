"""What launchers start in place of a training: `-m tests.training.launched FOLDER`; ends as a run that is stopped.

Beside `torch` nothing large is imported, so that several processes begin in seconds.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import distributed

from s5_hf.training.signals import StopSignals

LONGEST = 120
"""Seconds after which a process ends that nobody has stopped."""


def main(folder: Path) -> None:
    """Make steps together until a process is asked to stop; then the main process saves, and the others wait."""
    signal.alarm(LONGEST)
    with StopSignals() as signals:
        distributed.init_process_group("gloo")
        rank, stops = distributed.get_rank(), torch.zeros(1)
        (folder / f"process-{rank}").write_text(f"{os.getpid()} {os.environ['LOCAL_RANK']}", encoding="utf-8")
        while not stops:
            time.sleep(0.01)
            stops += float(signals.received > 0)
            distributed.all_reduce(stops)
        if rank == 0:
            time.sleep(0.2)
            (folder / "saved").touch()
        distributed.barrier()
    distributed.destroy_process_group()
    sys.exit(128 + signals.received)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
