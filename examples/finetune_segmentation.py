r"""Fine-tuning: one segmenter for one or many datasets, from pre-trained weights.

    python examples/finetune_segmentation.py moe_mdf_tiny_cpu --citymaps.data-dir my-city --massroads.data-dir my-roads
    accelerate launch --num_processes 8 examples/finetune_segmentation.py moe_mdf_vit_b \
        --vaihingen.data-dir data/vaihingen --potsdam.data-dir data/potsdam \
        --openearthmap.data-dir data/OpenEarthMap --loveda.data-dir data/LoveDA

The same as `s5-hf train segmentation`, whose help says more, with a place to hand in data of your own. The first word
is a recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run`
checks everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import TaskData, run_training


# Short and whole, as finetune_detection.py is: each script is a start for one of your own, to be copied alone.
def main(arguments: Sequence[str] | None = None, data: Sequence[TaskData] | None = None) -> None:
    """Run a recipe from the command line, or with data of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("segmentation", arguments, data, __doc__)


if __name__ == "__main__":
    run_script(main)
