"""`python -m s5_hf.training NAME ...`: what `s5-hf train NAME ...` does, as a module that `accelerate launch` starts.

accelerate launch --num_processes 8 -m s5_hf.training s4p s4p_vit_b --labelled-dir data/iSAID ...
"""

import sys

from ..scripts import run_script
from .programs import PROGRAMS, run_training


def main() -> None:
    """Run the training that the first word names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        raise ValueError(f"the first word must name a training: {', '.join(PROGRAMS)}; got {name!r}")
    run_training(name, sys.argv[2:], description=__doc__)


if __name__ == "__main__":
    run_script(main)
