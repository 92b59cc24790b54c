"""Curate a pre-training set on one process or many.

    python examples/curate_rs4p.py curate_tiny
    accelerate launch --multi_gpu --num_processes 8 examples/curate_rs4p.py my-recipe.yaml
    torchrun --nproc_per_node 2 examples/curate_rs4p.py my-recipe.yaml  # without a GPU

Scoring is what takes the time, and all processes share it: each takes unfinished parts of the archive in turn. The
rest is done by the main process. Whatever stops the job, the same command resumes it, also with another
number of processes.
"""

import argparse

import s5_hf  # noqa: F401 - makes the networks and the datasets known
from s5_hf.curation.recipe import read_curation_recipe
from s5_hf.curation.run import run_curation
from s5_hf.files.processes import patient_accelerator
from s5_hf.recipes import find_recipe
from s5_hf.scripts import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a recipe of the package")
    recipe = read_curation_recipe(find_recipe(parser.parse_args().recipe, "curation"))

    accelerator = patient_accelerator()
    accelerator.print(f"curating {recipe.select.target} patches on {accelerator.num_processes} processes")
    report = run_curation(recipe, accelerator)
    accelerator.print(f"dataset: {recipe.output}/dataset\nreport:  {report}")
    accelerator.end_training()


if __name__ == "__main__":
    run_script(main)
