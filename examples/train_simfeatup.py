r"""SimFeatUp: an up-sampler for the features of a frozen vision transformer, learned from images without labels.

    python examples/train_simfeatup.py simfeatup_tiny_cpu --featurizer my-encoder --data-dir my-images
    accelerate launch --num_processes 2 examples/train_simfeatup.py simfeatup_vit_b --data-dir MillionAID/test

The same as `s5-hf train simfeatup`, whose help says more, with a place to hand in samples of your own. The first word
is a recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run`
checks everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence
from typing import Any

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import run_training


# Short and whole, as the other scripts are: each is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, samples: Any | None = None) -> None:
    """Run a recipe from the command line, or with samples of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("simfeatup", arguments, samples, __doc__)


if __name__ == "__main__":
    run_script(main)
