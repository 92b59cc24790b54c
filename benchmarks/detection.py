"""Oriented detection on real thermal images: a small detector over several seeds, and others to compare it with.

    OMP_NUM_THREADS=1 python benchmarks/detection.py --hituav DATA/hituav --runs small horizontal --seeds 0 1 2
    OMP_NUM_THREADS=1 python benchmarks/detection.py --hituav DATA/hituav --runs pretrained -- --encoder lite0
    OMP_NUM_THREADS=1 python benchmarks/detection.py --hituav DATA/hituav --runs vit moe --seeds 0

- `small`: `detection_small_cpu` on HIT-UAV (thermal images from a drone, 160 for training, 48 for validation).
- `horizontal`: the same recipe, steps and images, with the horizontal hulls of the objects in place of the boxes: what
  it learns is a Faster R-CNN with horizontal boxes.
- `pretrained`: `detection_pretrained_cpu`, from an EfficientNet-Lite0 trained on ImageNet (docs/models.md).
- `pretrained_horizontal`: that with horizontal hulls in place of the boxes.
- `vit`: `detection_tiny_cpu`, a ViT, on the same images.
- `moe`: that as a mixture of experts, with synthetic aerial scenes (s5_hf.synthetic) as the second task.

Nothing is chosen on the validation images: the weights after the last step are validated once (the average of the
weights, where the recipe has one). What stands behind `--` goes to examples/finetune_detection.py. Runs that are
complete are not repeated, stopped ones resume.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from detection_runs import LABELS, last_validation, scores_of, seconds_of, train_detector

from measuring import argument_parser, parse_with_options, print_head, print_row, spread
from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.modeling import S5ForOrientedObjectDetection
from s5_hf.modeling.oriented_boxes import (
    dota_to_oriented_boxes,
    horizontal_to_oriented_boxes,
    oriented_boxes_to_horizontal,
)
from s5_hf.synthetic import BOX_LABELS, write_synthetic_dataset
from s5_hf.training.detection.data import DetectionTaskData, load_detection_task
from s5_hf.training.detection.recipe import DetectionDatasetSettings, DetectionRecipe
from s5_hf.training.detection.validation import DetectionValidation, detect
from s5_hf.training.views.oriented import read_sample

RECIPES = {
    "small": "detection_small_cpu",
    "horizontal": "detection_small_cpu",
    "pretrained": "detection_pretrained_cpu",
    "pretrained_horizontal": "detection_pretrained_cpu",
    "vit": "detection_tiny_cpu",
    "moe": "detection_tiny_cpu",
}
SCENE_SIDE = 256
SCENES = {"train": (160, 0), "val": (32, 1)}
"""Number and seed of the synthetic scenes of a split."""


def write_scenes(folder: Path) -> list[str]:
    """The second dataset, and the options that name it; what is there already stays."""
    for split, (count, seed) in SCENES.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_synthetic_dataset(folder / split, count, SCENE_SIDE, seed)
    # Cars of 9 px are enlarged to 18; two scenes a step, so that a run takes minutes.
    sizes = ["--scenes.image-scale", "2", "--scenes.batch-size", "2"]
    return [f"--scenes.data-dir={folder}", "--scenes.classes", *BOX_LABELS, *sizes]


def write_hulls(source: Path, folder: Path) -> None:
    """The same images with the horizontal hulls of their objects; what is there already stays."""
    for text in source.glob("*/labelTxt/*.txt"):
        split = text.parents[1].name
        (image,) = (source / split / "images").glob(f"{text.stem}.*")
        for name in ("images", "labelTxt"):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
        if not (folder / split / "images" / image.name).exists():
            shutil.copyfile(image, folder / split / "images" / image.name)
        lines = [hull_line(line.split()) for line in text.read_text(encoding="utf-8").splitlines()]
        (folder / split / "labelTxt" / text.name).write_text("".join(lines), encoding="utf-8")


def hull_line(words: Sequence[str]) -> str:
    """A line of a DOTA text file with the hull of its object; empty for a line of the head."""
    if len(words) < 9:
        return ""
    corners = torch.tensor([[float(word) for word in words[:8]]])
    left, top, right, bottom = oriented_boxes_to_horizontal(dota_to_oriented_boxes(corners))[0].tolist()
    places = (left, top, right, top, right, bottom, left, bottom)
    return " ".join([*(f"{place:.2f}" for place in places), *words[8:]]) + "\n"


def train(name: str, seed: int, hituav: Path, folder: Path, options: Sequence[str]) -> None:
    """Train one of the runs, unless it is complete; its processor time, in seconds, is added up in a file."""
    names, second, data = ["hituav"], [], hituav
    if name == "moe":
        names, second = ["hituav", "scenes"], write_scenes(folder.parent / "scenes")
    if name.endswith("horizontal"):
        data = folder.parent / "hulls"
        write_hulls(hituav, data)
    mode = ["--mode", "moe" if name == "moe" else "sdf", "--datasets", *names, f"--hituav.data-dir={data}", *second]
    last = ["--selection", "last", "--validation-steps", "0", "--seed", str(seed)]
    train_detector([RECIPES[name], *mode, *last, *options], folder)


def row(name: str, folders: Sequence[Path]) -> Iterator[str]:
    """The cells of a row: mean and standard deviation over the seeds, of the validation at the end of each run."""
    model = S5ForOrientedObjectDetection.from_pretrained(folders[0] / "detector")
    steps = last_validation(folders[0])["step"]
    yield from (name, f"{model.num_parameters() / 1e6:.2f} M", str(steps), str(len(folders)))
    yield spread([seconds_of(folder) / 60 for folder in folders])
    tables = []
    for task, labels in model.config.tasks.items():
        scores = [scores_of(folder, task, list(labels)) for folder in folders]
        tables.append([spread([one[key] for one in scores]) for key in ("mean", *labels)])
    yield from tables[0]
    yield ", ".join(tables[1]) if len(tables) > 1 else ""


def hull_scores(folder: Path, task: DetectionTaskData) -> dict[str, float]:
    """Average precision at IoU 0.5, percent, of the horizontal hulls of what is found against those of the objects."""
    recipe = DetectionRecipe.read([str(folder / "recipe.yaml")])
    data = recipe.data
    settings = DetectionValidation(data.image_size, recipe.image_scale_of("hituav"), data.image_mean, data.image_std)
    average = folder / "average"
    model = S5ForOrientedObjectDetection.from_pretrained(average if average.is_dir() else folder / "detector").eval()
    metric = OrientedAveragePrecision(labels=task.labels, iou_thresholds=(0.5,))
    for number, sample in enumerate(task.validation):
        pixels, boxes, classes = read_sample(sample, task.name, task.labels, len(data.image_mean))
        with torch.inference_mode():
            found = detect(model, pixels, settings, Accelerator(cpu=True))
        metric.add_image(
            str(number), {**found, "boxes": hulls(found["boxes"])}, {"boxes": hulls(boxes), "labels": classes}
        )
    scores = metric.compute()
    return {"mean": 100 * scores["map_50"]} | {name: 100 * one["ap_50"] for name, one in scores["per_class"].items()}


def hulls(boxes: torch.Tensor) -> torch.Tensor:
    """Oriented boxes `(n, 5)` as the horizontal ones around them."""
    return horizontal_to_oriented_boxes(oriented_boxes_to_horizontal(boxes))


def saved_hull_scores(folder: Path, task: DetectionTaskData) -> dict[str, float]:
    """The same, computed once for every run."""
    path = folder / "hulls.json"
    if not path.exists():
        path.write_text(json.dumps(hull_scores(folder, task)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--hituav", type=Path, required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--runs", nargs="+", choices=list(RECIPES), default=["small", "horizontal"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output-dir", type=Path, default=Path("runs/detection_benchmark"))
    arguments, options = parse_with_options(parser)

    folders = {name: [arguments.output_dir / f"{name}-{seed}" for seed in arguments.seeds] for name in arguments.runs}
    for name, of_seeds in folders.items():
        for seed, folder in zip(arguments.seeds, of_seeds, strict=True):
            train(name, seed, arguments.hituav, folder, options)
    print_head(
        "run", "parameters", "steps", "seeds", "minutes of one core", "mean AP50, percent", *LABELS, "second task"
    )
    for name, of_seeds in folders.items():
        print_row(*row(name, of_seeds))
    print(f"\n{os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}\n")

    settings = DetectionDatasetSettings(
        name="hituav", data_dir=str(arguments.hituav), classes=list(LABELS), ignored_classes=["DontCare"]
    )
    task = load_detection_task(settings, "last")
    print_head("run", "mean AP50 of horizontal hulls, percent", *LABELS)
    for name, of_seeds in folders.items():
        if name != "moe":  # whose model has two tasks
            scores = [saved_hull_scores(folder, task) for folder in of_seeds]
            print_row(name, *(spread([one[key] for one in scores]) for key in ("mean", *LABELS)))


if __name__ == "__main__":
    main()
