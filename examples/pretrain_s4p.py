r"""S4 pre-training (S4P): labelled and unlabelled images, one loop, any size and any number of devices.

    python examples/pretrain_s4p.py s4p_tiny_cpu --labelled-dir my-data --classes land water
    accelerate launch --num_processes 8 examples/pretrain_s4p.py s4p_vit_b --labelled-dir data/iSAID \
        --unlabelled-dir data/RS4P-1M --encoder my-mae-vit-b

The same as `s5-hf train s4p`, whose help says more, with a place to hand in data of your own. The first word is
a recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run`
checks everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import SegmentationData, run_training


# Short and whole, as pretrain_mae.py is: each script is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, data: SegmentationData | None = None) -> None:
    """Run a recipe from the command line, or with data of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("s4p", arguments, data, __doc__)


if __name__ == "__main__":
    run_script(main)
