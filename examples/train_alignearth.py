r"""AlignEarth as we read it: a CLIP for radar images, taught by one for optical images on pairs of both.

    accelerate launch --num_processes 8 examples/train_alignearth.py alignearth_vit_b --data-dir my-pairs

The same as `s5-hf train alignearth`, with a place to hand in pairs of your own. The paper's code is not published: the
losses are a reading of its figure, each with a weight, and nothing is known of the published numbers.
"""

from collections.abc import Sequence
from typing import Any

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import run_training


# Short and whole, as the other scripts are: each is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, pairs: Any | None = None) -> None:
    """Run a recipe from the command line, or with pairs of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("alignearth", arguments, pairs, __doc__)


if __name__ == "__main__":
    run_script(main)
