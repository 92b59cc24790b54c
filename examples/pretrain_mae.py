r"""MAE initialisation on images without labels, because S4 pre-training starts from MAE weights.

    python examples/pretrain_mae.py mae_tiny_cpu --data-dir my-images
    accelerate launch --num_processes 8 examples/pretrain_mae.py mae_vit_b --data-dir data/MillionAID

The same as `s5-hf train mae`, whose help says more, with a place to hand in samples of your own. The first word is
a recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run`
checks everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence
from typing import Any

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import run_training


# Short and whole, as pretrain_s4p.py is: each script is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, samples: Any | None = None) -> None:
    """Run a recipe from the command line, or with samples of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("mae", arguments, samples, __doc__)


if __name__ == "__main__":
    run_script(main)
