"""Why an oriented detector finds what it finds: anchors, losses, proposals, scores, and what an oracle would add.

    python benchmarks/detection_diagnosis.py anchors --data DATA/hituav --scales 2 4 8
    python benchmarks/detection_diagnosis.py losses runs/first runs/second
    python benchmarks/detection_diagnosis.py detector runs/first/average --data DATA/hituav --split val
    python benchmarks/detection_diagnosis.py heart --data DATA/hituav --images 8 -- --total-steps 300

`anchors` needs no network: how many anchors the objects get, and how well the best of them overlaps. `losses` reads
the logs of runs. `detector` tries a detector on whole images: which share of the objects its proposals cover, by size;
how often its scores are right; its average precision if proposals, classes or places were perfect. `heart` learns a
few images by heart and is validated on the same ones. What stands behind `--` goes to examples/finetune_detection.py.
"""

import argparse
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from measuring import argument_parser, parse_with_options, print_head, print_row, run_example
from s5_hf.metrics import OrientedAveragePrecision
from s5_hf.modeling.anchors import STRIDES, inside_image, level_anchors
from s5_hf.modeling.detection_post_processing import find_objects
from s5_hf.modeling.image_processing_s5 import S5ImageProcessor
from s5_hf.modeling.modeling_s5_detection import S5ForOrientedObjectDetection
from s5_hf.modeling.oriented_boxes import oriented_boxes_to_horizontal
from s5_hf.modeling.rotated_iou import rotated_iou
from s5_hf.modeling.target_assignment import assign_anchors, horizontal_iou
from s5_hf.training.detection.data import DetectionTaskData, load_detection_task
from s5_hf.training.detection.recipe import DetectionDatasetSettings
from s5_hf.training.detection.validation import DetectionValidation
from s5_hf.training.run_folder import read_log
from s5_hf.training.views.oriented import read_sample
from s5_hf.training.views.strong import normalize, to_unit_range

SIZES = (0.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, float("inf"))
"""Objects are grouped by the side of a square as large as their horizontal hull, in pixels of the file."""
SCORES = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
PARTS = ("rpn_cls", "rpn_bbox", "cls", "bbox")
NEGATIVE_IOU = 0.3


@dataclass(frozen=True)
class Tried:
    """An image with its objects, and what a detector says of it, all in pixels of the file.

    Attributes:
        boxes: `(n, 5)` that are annotated.
        classes: `(n,)` of them.
        proposals: `(m, 5)`, best first.
        found: objects of the detector as it is, and by the name of an oracle those with its help.
    """

    boxes: torch.Tensor
    classes: torch.Tensor
    proposals: torch.Tensor
    found: dict[str, dict[str, torch.Tensor]]


def hull_sides(boxes: torch.Tensor) -> torch.Tensor:
    """The side of a square as large as the horizontal hull of each box."""
    left, top, right, bottom = oriented_boxes_to_horizontal(boxes).unbind(dim=1)
    return ((right - left) * (bottom - top)).sqrt()


def read_objects(task: DetectionTaskData, samples: Sequence[dict]) -> Iterator[tuple]:
    """Pixels, boxes and classes of every image."""
    return (read_sample(sample, task.name, task.labels, 3) for sample in samples)


def report_anchors(arguments: argparse.Namespace, task: DetectionTaskData) -> None:
    """The overlap of the best anchor, and the anchors that learn to find an object, for several scales."""
    print_head("anchor scale", "class", "objects", "best IoU >= 0.5", ">= 0.7", "anchors for an object", "none")
    images = list(read_objects(task, task.train))
    for scale in arguments.scales:
        best, counts, classes = [], [], []
        for pixels, boxes, of_boxes in images:
            size = tuple(int(side * arguments.image_scale) for side in pixels.shape[:2])
            cells = [(-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES]
            levels = zip(cells, STRIDES, strict=True)
            anchors = torch.cat([level_anchors(cell, stride, scale, arguments.ratios) for cell, stride in levels])
            anchors = anchors[inside_image(anchors, size)]
            hulls = oriented_boxes_to_horizontal(boxes.float()) * arguments.image_scale
            assigned = assign_anchors(anchors, hulls, arguments.positive_iou, NEGATIVE_IOU, NEGATIVE_IOU)
            best += horizontal_iou(hulls, anchors).amax(dim=1).tolist() if len(hulls) else []
            counts += torch.bincount(assigned[assigned >= 0], minlength=len(hulls)).tolist()
            classes += of_boxes.tolist()
        overlap, count, label = (torch.tensor(values, dtype=torch.float64) for values in (best, counts, classes))
        for number, name in enumerate(task.labels):
            ours = label == number
            shares = [f"{(overlap[ours] >= least).double().mean():.0%}" for least in (0.5, 0.7)]
            none = f"{(count[ours] == 0).double().mean():.0%}"
            print_row(f"{scale:g}", name, str(int(ours.sum())), *shares, f"{count[ours].mean():.1f}", none)


def report_losses(folders: Sequence[Path]) -> None:
    """The parts of the loss in tenths of each run."""
    print_head("run", "steps", *PARTS, "gradient steps a second")
    for folder in folders:
        entries = [entry for entry in read_log(folder) if "loss" in entry]
        size = max(1, len(entries) // 10)
        for start in range(0, len(entries), size):
            tenth = entries[start : start + size]
            means = []
            for part in PARTS:
                values = [value for entry in tenth for key, value in entry.items() if key.endswith(f"/{part}")]
                means.append(f"{sum(values) / max(1, len(values)):.3f}")
            seconds = [entry["seconds_per_step"] for entry in tenth if "seconds_per_step" in entry]
            speed = f"{len(seconds) / sum(seconds):.2f}" if seconds else "-"
            print_row(folder.name, f"{tenth[0]['step']} to {tenth[-1]['step']}", *means, speed)


@torch.no_grad()
def try_image(
    model: S5ForOrientedObjectDetection,
    settings: DetectionValidation,
    pixels: torch.Tensor,
    boxes: torch.Tensor,
    classes: torch.Tensor,
) -> Tried:
    """What the detector, of one task, says of an image as it is and with the help of three oracles.

    - proposals: the annotated boxes are the proposals; what is left are errors of the RoI head.
    - classes: every box gets the class of the object that it overlaps most; its score is that of being no background.
    - places: every box that overlaps an object of its class by 0.1 or more is moved onto it.
    """
    resized = settings.resized(pixels)
    back = pixels.shape[0] / resized.shape[0], pixels.shape[1] / resized.shape[1]
    image = normalize(
        to_unit_range(torch.from_numpy(resized.copy()).permute(2, 0, 1)[None]), settings.mean, settings.std
    )
    outputs = model(image)
    scaled = boxes.float() * torch.tensor([1 / back[1], 1 / back[0], 1 / back[1], 1 / back[0], 1.0])
    found = {"none": (outputs.logits[0], outputs.pred_boxes[0])}
    if len(boxes):
        maps = model.backbone(image).feature_maps
        head = model.roi_heads[0]
        logits, deltas = head(model.necks[0](maps), [scaled])
        found["proposals"] = logits, head.decode(scaled, deltas)
        overlaps = rotated_iou(outputs.pred_boxes[0], scaled)
        found["classes"] = true_classes(outputs.logits[0], classes[overlaps.argmax(dim=1)]), outputs.pred_boxes[0]
        same = outputs.logits[0][:, :-1].argmax(dim=1)[:, None] == classes
        shared, nearest = torch.where(same, overlaps, 0.0).max(dim=1)
        moved = torch.where((shared >= 0.1)[:, None], scaled[nearest], outputs.pred_boxes[0])
        found["places"] = outputs.logits[0], moved
    objects = {name: find_objects(*pair, 0.05, 0.1, 2000, back) for name, pair in found.items()}
    proposals = outputs.proposals[0] * torch.tensor([back[1], back[0], back[1], back[0], 1.0])
    return Tried(boxes, classes, proposals, objects)


def true_classes(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Logits `(n, classes + 1)` whose score of being an object all goes to one class."""
    background = logits.log_softmax(dim=1)[:, -1:]
    told = torch.full_like(logits, -1e4)
    told[:, -1:] = background
    is_object = torch.log1p(-background.exp().clamp(max=1 - 1e-6))
    return told.scatter(1, classes[:, None], is_object)


def report_detector(arguments: argparse.Namespace, task: DetectionTaskData) -> None:
    """Recall of the proposals, average precision with oracles, and calibration."""
    model = S5ForOrientedObjectDetection.from_pretrained(arguments.model).eval()
    processor = S5ImageProcessor.from_pretrained(arguments.model)
    settings = DetectionValidation(1024, arguments.image_scale, processor.image_mean, processor.image_std)
    samples = task.train if arguments.split == "train" else task.validation
    tried = [try_image(model, settings, *objects) for objects in read_objects(task, samples)]
    print_recall(tried, task.labels)
    print_oracles(tried, task.labels)
    print_calibration(tried)


def print_recall(tried: Sequence[Tried], labels: Sequence[str]) -> None:
    """Shares of the objects that a proposal covers with an IoU of 0.5 or more, by size and by class."""
    sides = torch.cat([hull_sides(one.boxes) for one in tried])
    classes = torch.cat([one.classes for one in tried])
    limits = (20, 100, 300, 2000)
    covered = [torch.cat([best_overlap(one.boxes, one.proposals[:limit]) >= 0.5 for one in tried]) for limit in limits]
    print_head("objects", "count", *(f"recall of {limit} proposals" for limit in limits))
    groups = {f"{low:g} to {high:g} px": (sides >= low) & (sides < high) for low, high in itertools.pairwise(SIZES)}
    groups |= {name: classes == number for number, name in enumerate(labels)}
    for name, ours in groups.items():
        if ours.any():
            print_row(name, str(int(ours.sum())), *(f"{hits[ours].double().mean():.0%}" for hits in covered))


def best_overlap(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The largest rotated IoU of each box with any of the others."""
    if not len(boxes) or not len(others):
        return torch.zeros(len(boxes))
    return rotated_iou(boxes.float(), others.float()).amax(dim=1)


def print_oracles(tried: Sequence[Tried], labels: Sequence[str]) -> None:
    """Average precision at IoU 0.5 as it is and with each oracle."""
    print_head("oracle", "AP50, percent", *labels)
    for name in ("none", "proposals", "classes", "places"):
        metric = OrientedAveragePrecision(labels=labels, iou_thresholds=(0.5,))
        for number, one in enumerate(tried):
            references = {"boxes": one.boxes, "labels": one.classes}
            metric.add_image(str(number), one.found.get(name, one.found["none"]), references)
        scores = metric.compute()
        values = [scores["per_class"][label]["ap_50"] for label in labels]
        print_row(name, *(f"{100 * value:.1f}" for value in (scores["map_50"], *values)))


def print_calibration(tried: Sequence[Tried]) -> None:
    """For groups of scores: their mean, and the share that is right: of the class and with an IoU of 0.5 or more."""
    print_head("scores", "detections", "mean score", "right")
    scores, right = [], []
    for one in tried:
        found = one.found["none"]
        scores.append(found["scores"])
        overlaps = rotated_iou(found["boxes"], one.boxes.float())
        same = found["labels"][:, None] == one.classes
        right.append(((overlaps >= 0.5) & same).any(dim=1))
    score, hit = torch.cat(scores), torch.cat(right)
    for low, high in itertools.pairwise(SCORES):
        ours = (score > low) & (score <= high)
        if ours.any():
            share = f"{hit[ours].double().mean():.2f}"
            print_row(f"{low:g} to {high:g}", str(int(ours.sum())), f"{score[ours].mean():.2f}", share)


def learn_by_heart(arguments: argparse.Namespace, options: Sequence[str]) -> None:
    """Train on the first images with objects, and validate on the same ones."""
    source, folder = Path(arguments.data) / "train", arguments.output_dir / f"heart-{arguments.images}"
    texts = [path for path in sorted((source / "labelTxt").glob("*.txt")) if len(path.read_text().split()) > 20]
    for split, text in itertools.product(("train", "val"), texts[: arguments.images]):
        (image,) = (source / "images").glob(f"{text.stem}.*")
        for path, name in ((image, "images"), (text, "labelTxt")):
            (folder / "data" / split / name).mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / "data" / split / name / path.name)
    chosen = ["--datasets", "hituav", f"--hituav.data-dir={folder / 'data'}", "--selection", "last"]
    plain = ["--scale-range", "1", "1", "--validation-steps", "50", *options]
    run_example("finetune_detection.py", [arguments.recipe, *chosen, *plain], folder / "run", "detector")
    print_head("steps", "AP50 on the images learned by heart, percent")
    for entry in read_log(folder / "run"):
        if "validation/mean/map50" in entry:
            print_row(str(entry["step"]), f"{entry['validation/mean/map50']:.1f}")


def add_data(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options that say which images, and how large the detector sees them."""
    parser.add_argument("--data", required=True, help="folder with {train,val}/images and labelTxt")
    parser.add_argument("--classes", nargs="+", default=["Person", "Car", "Bicycle", "OtherVehicle"])
    parser.add_argument("--ignored-classes", nargs="*", default=["DontCare"])
    parser.add_argument("--image-scale", type=float, default=1.0)
    return parser


def main() -> None:
    parser = argument_parser(__doc__)
    of = parser.add_subparsers(dest="what", required=True)
    anchors = add_data(of.add_parser("anchors"))
    anchors.add_argument("--scales", nargs="+", type=float, default=[2.0, 4.0, 8.0])
    anchors.add_argument("--ratios", nargs="+", type=float, default=[0.5, 1.0, 2.0])
    anchors.add_argument("--positive-iou", type=float, default=0.7)
    of.add_parser("losses").add_argument("folders", nargs="+", type=Path)
    detector = add_data(of.add_parser("detector"))
    detector.add_argument("model")
    detector.add_argument("--split", choices=["train", "val"], default="val")
    heart = of.add_parser("heart")
    heart.add_argument("--data", required=True)
    heart.add_argument("--images", type=int, default=8)
    heart.add_argument("--recipe", default="detection_tiny_cpu")
    heart.add_argument("--output-dir", type=Path, default=Path("runs/detection_diagnosis"))
    arguments, options = parse_with_options(parser)
    if arguments.what == "losses":
        report_losses(arguments.folders)
    elif arguments.what == "heart":
        learn_by_heart(arguments, options)
    else:
        settings = DetectionDatasetSettings(
            name="objects",
            data_dir=arguments.data,
            classes=arguments.classes,
            ignored_classes=arguments.ignored_classes,
        )
        report = {"anchors": report_anchors, "detector": report_detector}[arguments.what]
        report(arguments, load_detection_task(settings, "last"))


if __name__ == "__main__":
    main()
