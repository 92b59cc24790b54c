r"""Road graphs from images with SAM-Road++ (arXiv 2411.16733): keypoints, roads, and which points a road connects.

    python examples/train_roads.py roads_tiny_cpu --data-dir my-roads
    accelerate launch --num_processes 4 examples/train_roads.py samroad_cityscale --data-dir data/City-Scale

The same as `s5-hf train roads`, whose help says more, with a place to hand in data of your own. The first word is a
recipe: a file, or the name of one of the package (`--list-recipes`). Every key of it is an option; `--dry-run` checks
everything beforehand, `--resume auto` resumes exactly.
"""

from collections.abc import Sequence

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.scripts import run_script
from s5_hf.training import RoadData, run_training


def main(arguments: Sequence[str] | None = None, data: RoadData | None = None) -> None:
    """Run a recipe from the command line, or with data of your own.

    Exits with 128 plus the signal's number when a signal stopped the run (its state is saved).
    """
    run_training("roads", arguments, data, __doc__)


if __name__ == "__main__":
    run_script(main)
