r"""Fine-tuning of oriented detection: one detector for one or many datasets, from pre-trained weights.

    python examples/finetune_detection.py detection_tiny_cpu --datasets ships --ships.data-dir my-ships \
        --ships.classes ship boat
    accelerate launch --num_processes 4 examples/finetune_detection.py moe_det_vit_b --dior.data-dir data/DIOR-R \
        --dota.data-dir data/dota-tiles

The same as `s5-hf train detection`, whose help says more, with a place to hand in data of your own. The first word is
a recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run`
checks everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import DetectionTaskData, run_training


# Short and whole, as finetune_segmentation.py is: each script is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, data: Sequence[DetectionTaskData] | None = None) -> None:
    """Run a recipe from the command line, or with data of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("detection", arguments, data, __doc__)


if __name__ == "__main__":
    run_script(main)
