"""Oriented detection from few labels: pseudo-boxes by agreement of rotated views against labelled images alone.

    OMP_NUM_THREADS=1 python benchmarks/detection_few_labels.py quality --hituav DATA/hituav --seeds 0
    OMP_NUM_THREADS=1 python benchmarks/detection_few_labels.py runs --hituav DATA/hituav --seeds 0 1 2
    OMP_NUM_THREADS=1 python benchmarks/detection_few_labels.py runs --hituav DATA/hituav --seeds 0 1 2 \
        --encoder lite0 --base-steps 600 --steps 240

The data is HIT-UAV, of whose 160 training images the seed chooses 32 that keep their labels. For each seed:

- `base`: `detection_few_labels_cpu` on the 32 images alone, or with an encoder `detection_pretrained_cpu`. Each of the
  others goes on from its averaged weights.
- `supervised`: the same for some more steps.
- `pseudo`: as many steps, and the other 128 images without their labels, by the method of the recipe.
- `longer`: labelled images alone, for the processor time that `pseudo` took.
- `all_labels`: as many steps with the labels of all 160 images: what there is to gain.

`quality` compares the pseudo-boxes of the base with the annotations of the 128 images, which no training sees: that is
how thresholds are chosen. Nothing is chosen on the validation images: the averaged weights after the last step are
validated once. What stands behind `--` goes to examples/finetune_detection.py. Runs that are complete are not
repeated, stopped ones resume.
"""

from argparse import Namespace
from fractions import Fraction
from pathlib import Path

import torch
from detection_runs import LABELS, print_compared, seconds_of, train_detector

from measuring import argument_parser, parse_with_options, print_head, print_row
from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.recipes import find_recipe
from s5_hf.semi_supervised import AgreeingViews, UnlabelledObjects
from s5_hf.training.batches import SampleOrder, ViewedDatasets, load_in_order
from s5_hf.training.detection.batches import collate
from s5_hf.training.detection.kind import JointDetection
from s5_hf.training.detection.recipe import DetectionRecipe

RECIPE, PRETRAINED_RECIPE = "detection_few_labels_cpu", "detection_pretrained_cpu"
FEW_LABELS = (
    *("--hituav.labelled-count", "32", "--hituav.unlabelled-dataset", "rest", "--unlabelled-batch-size", "2"),
    *("--method", "agreeing_views", "--confidence-threshold", "0.6", "--agreement-threshold", "0.5"),
    *("--ignore-threshold", "0.2", "--teacher-decay", "0.99", "--weight-average-decay", "0.99"),
)
"""What the first recipe has, as options of the second."""
CONTINUED = ("--encoder", "none", "--learning-rate", "7e-4", "--warmup-steps", "10", "--unlabelled-from-step", "0")
RAMP = 20
RUNS = ("base", "supervised", "pseudo", "longer", "all_labels")
ALL_LABELS = ("--hituav.labelled-count", "null", "--hituav.unlabelled-dataset", "s5-images")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
AGREEMENTS = (0.0, 0.3, 0.5, 0.7)
VIEWS = 96
"""Views of unlabelled images that the quality is measured on."""


def folder_of(arguments: Namespace, run: str, seed: int) -> Path:
    """The folder of a run."""
    return arguments.output_dir / f"{run}-{seed}"


def recipe_of(arguments: Namespace) -> str:
    """The recipe of all runs."""
    return PRETRAINED_RECIPE if arguments.encoder else RECIPE


def words_of(arguments: Namespace, run: str, seed: int) -> list[str]:
    """The options of a run."""
    words = [recipe_of(arguments), f"--hituav.data-dir={arguments.hituav}", "--selection", "last", "--seed", str(seed)]
    if arguments.encoder:
        words += ["--encoder", arguments.encoder, "--validation-steps", "0", *FEW_LABELS]
    words += arguments.options
    if run == "base":
        unseen = ["--hituav.validation-split", "none"]
        return [*words, "--method", "null", "--total-steps", str(arguments.base_steps), *unseen]
    words += ["--detector", str(folder_of(arguments, "base", seed) / "average"), *CONTINUED]
    if run == "pseudo":
        return [*words, "--unlabelled-ramp-steps", str(RAMP), "--total-steps", str(arguments.steps)]
    steps = arguments.steps
    if run == "all_labels":
        words += ALL_LABELS
    if run == "longer":
        both = (seconds_of(folder_of(arguments, name, seed)) for name in ("pseudo", "supervised"))
        steps = round(steps * Fraction(*both))
    return [*words, "--method", "null", "--total-steps", str(steps)]


def print_runs(arguments: Namespace) -> None:
    """Train, and print mean and standard deviation over the seeds, and the paired differences to `supervised`."""
    for seed in arguments.seeds:
        for run in arguments.runs:
            train_detector(words_of(arguments, run, seed), folder_of(arguments, run, seed))
    validated = [run for run in arguments.runs if run != "base"]
    print_compared(
        {run: [folder_of(arguments, run, seed) for seed in arguments.seeds] for run in validated}, "supervised"
    )


def measured_pseudo_boxes(arguments: Namespace, seed: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """All agreeing boxes of the base on views of its unlabelled images, and how many objects of each class there are.

    The boxes have `labels`, `scores`, `agreement` and `right`: whether an object of the class has a rotated IoU of 0.5
    or more with the box.
    """
    recipe = DetectionRecipe.read(
        [str(find_recipe(recipe_of(arguments), "detection")), *words_of(arguments, "base", seed)[1:]]
    )
    recipe.method.method = "agreeing_views"
    kind = JointDetection(recipe)
    kind.load(processes=1)
    (task,) = kind.tasks
    method = AgreeingViews(confidence_threshold=0.2, ignore_threshold=0.2, agreement_threshold=0.0)
    method.attach(S5ForOrientedObjectDetection.from_pretrained(folder_of(arguments, "base", seed) / "average"))
    views, order = kind.views(torch.device("cpu")), SampleOrder((len(task.unlabelled),), (4,), (seed,))
    dataset = ViewedDatasets((task.unlabelled,), (kind.sample_view(task, recipe.datasets[0]),))
    columns: dict[str, list[torch.Tensor]] = {"labels": [], "scores": [], "agreement": [], "right": []}
    objects = torch.zeros(len(LABELS))
    for number, rows in enumerate(load_in_order(dataset, order, 0, 0, collate)):
        if 4 * number >= VIEWS:
            break
        batch = views(rows)
        pseudo, _ = method.label(
            UnlabelledObjects(batch.pixel_values, batch.pixel_values, batch.tasks, batch.image_sizes)
        )
        for image, truth in zip(pseudo, batch.labels, strict=True):
            objects += torch.bincount(truth["class_labels"], minlength=len(LABELS))
            same = image.labels[:, None] == truth["class_labels"]
            near = (rotated_iou(image.boxes, truth["boxes"]) >= 0.5) & same
            for name, values in (*vars(image).items(), ("right", near.any(dim=1))):
                if name in columns:
                    columns[name].append(values)
    return {name: torch.cat(values) for name, values in columns.items()}, objects


def print_quality(arguments: Namespace) -> None:
    """Print how many pseudo-boxes there are for other thresholds, and how many of them are right."""
    for seed in arguments.seeds:
        train_detector(words_of(arguments, "base", seed), folder_of(arguments, "base", seed))
        found, objects = measured_pseudo_boxes(arguments, seed)
        counts = ", ".join(f"{label} {int(count)}" for label, count in zip(LABELS, objects, strict=True))
        print(f"\nseed {seed}, {VIEWS} views, objects: {counts}\n")
        print_head(
            "score", "agreement", "pseudo-boxes", "right, percent", *(f"{label}, right of all" for label in LABELS)
        )
        for threshold in THRESHOLDS:
            for agreement in AGREEMENTS:
                kept = (found["scores"] >= threshold) & (found["agreement"] >= agreement)
                cells = [
                    f"{int((kept & found['right'] & own).sum())} of {int((kept & own).sum())}"
                    for own in (found["labels"] == number for number in range(len(LABELS)))
                ]
                share = 100 * (kept & found["right"]).sum() / max(int(kept.sum()), 1)
                print_row(f"{threshold}", f"{agreement}", str(int(kept.sum())), f"{share:.0f}", *cells)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("what", choices=["quality", "runs"])
    parser.add_argument("--hituav", type=Path, required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--encoder", help="folder of an EfficientNet-Lite0 trained on ImageNet (docs/models.md)")
    parser.add_argument("--base-steps", type=int, default=300)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--output-dir", type=Path, default=Path("runs/detection_few_labels"))
    arguments, arguments.options = parse_with_options(parser)
    torch.set_num_threads(1)
    {"quality": print_quality, "runs": print_runs}[arguments.what](arguments)


if __name__ == "__main__":
    main()
