"""Evaluate a segmenter, a detector or any other model of the package on one process or many, with the same numbers.

    python examples/evaluate_model.py --model my-segmenter --dataset s5-image-mask --data-dir my-tiles
    accelerate launch --multi_gpu --num_processes 8 examples/evaluate_model.py --model s5-vit-b-moe \\
        --dataset s5-openearthmap --data-dir data/OpenEarthMap --batch-size 8 --num-workers 4 --precision bf16
    accelerate launch --multi_gpu --num_processes 8 examples/evaluate_model.py --model s5-vit-b-moe-det \\
        --dataset s5-dota --data-dir data/DOTA --split test --detections submission --num-workers 4
    torchrun --nproc_per_node 2 examples/evaluate_model.py ...  # without a GPU

Every image is predicted once, by one process, and the processes put their results together. `s5-hf evaluate` does the
same in one process and has more options.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import s5_hf  # noqa: F401 - makes the networks and the datasets known
from s5_hf.evaluation import PROTOCOLS, EvaluationSettings, LoopSettings, run_evaluation
from s5_hf.files.processes import patient_accelerator
from s5_hf.scripts import run_script


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder, a Hub repository or a known name")
    parser.add_argument("--dataset", required=True, help="name in the registry")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--split", help="that of the published numbers if left out")
    parser.add_argument("--task", help="of a model with several tasks; the dataset's name if left out")
    parser.add_argument("--protocol", default="published", choices=list(PROTOCOLS))
    parser.add_argument("--output", type=Path, default=Path("evaluation"), help="folder for the report")
    parser.add_argument("--class-maps", type=Path, help="folder for the predictions of a segmenter as PNG")
    parser.add_argument("--detections", type=Path, help="folder for those of a detector, in DOTA's Task 1 format")
    parser.add_argument("--kind", help="prompt of a model that answers questions: reasoning or referring")
    parser.add_argument("--beams", type=int, default=1, help="of the search of a model that writes captions")
    parser.add_argument("--batch-size", type=int, default=1, help="images of one size, or tiles, per forward pass")
    parser.add_argument("--num-workers", type=int, default=0, help="processes that read images, per process")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "auto"])
    chosen = parser.parse_args(arguments)

    accelerator = patient_accelerator()
    settings = EvaluationSettings(
        model=chosen.model,
        dataset=chosen.dataset,
        data_dir=chosen.data_dir,
        split=chosen.split,
        task=chosen.task,
        output=chosen.output,
        protocol=chosen.protocol,
        precision=chosen.precision,
        kind=chosen.kind,
        beams=chosen.beams,
        loop=LoopSettings(
            chosen.batch_size, chosen.num_workers, class_maps=chosen.class_maps, detections=chosen.detections
        ),
    )
    results = run_evaluation(settings, accelerator)
    accelerator.print(results.as_markdown())
    accelerator.end_training()


if __name__ == "__main__":
    run_script(main)
