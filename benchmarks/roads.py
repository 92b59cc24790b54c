"""Road graphs of a small network on real images, against thinned masks of the same network.

    python benchmarks/roads.py data ../shared/data/massroads work/roads
    python benchmarks/roads.py scene
    s5-hf train roads roads_tiny_cpu --data-dir work/roads --output-dir work/graph
    python benchmarks/roads.py compare work/roads work/graph/road_model --panels work/panels

`compare` scores two graphs of every held-out image: the one that the network draws, and the skeleton of its own mask
of roads. Both come from one encoder, one training, and one set of thresholds, chosen on training images; for the
skeleton the best threshold of the mask on the same training images is searched for in the score itself (APLS).
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import roads_scene
import torch
from datasets import load_dataset
from PIL import Image
from tqdm import tqdm

import s5_hf  # noqa: F401 - makes names and datasets known
from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.imaging.sheets import contact_sheet
from s5_hf.metrics import RoadGraphMetrics
from s5_hf.modeling import SamRoadForRoadGraph, SamRoadProcessor
from s5_hf.roads import write_graph
from s5_hf.roads.skeletons import skeleton_graph
from s5_hf.training.roads.tracing import TracedImage, trace_image
from s5_hf.training.roads.validation import FOUND, TRUTH, draw_graph
from s5_hf.training.roads.view import graph_of

ROAD = 1
SCORES = ("apls", "topo_f1", "topo_precision", "topo_recall", "junction_f1")
MASK_THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


def make_data(source: Path, output: Path) -> None:
    """Thin the road masks of `source/{train,val}/{images,masks}` to lines, in the layout of `s5-image-graph`."""
    for split in ("train", "val"):
        for kind in ("images", "lines"):
            (output / split / kind).mkdir(parents=True, exist_ok=True)
        for path in tqdm(sorted((source / split / "images").iterdir()), split):
            mask = np.asarray(Image.open(source / split / "masks" / f"{path.stem}.png"))
            Image.open(path).save(output / split / "images" / f"{path.stem}.png")
            write_graph(output / split / "lines" / f"{path.stem}.geojson", skeleton_graph(mask == ROAD))


def traced(model: SamRoadForRoadGraph, samples: Iterable[dict], window: int) -> list[TracedImage]:
    """What the network draws of every image."""
    processor = SamRoadProcessor()
    pixels = (processor(sample["image"], return_tensors="pt")["pixel_values"][0] for sample in samples)
    return [trace_image(model, image, window) for image in tqdm(pixels, "tracing")]


def scores(found: Sequence[RoadGraph], true: Sequence[RoadGraph]) -> dict[str, float]:
    """Mean scores over images, 0..1; places are compared wherever they are on an image."""
    metrics = RoadGraphMetrics(protocol="scene")
    for prediction, reference in zip(found, true, strict=True):
        metrics.add(prediction=prediction, reference=reference)
    values = metrics.compute()
    return {name: values[name] for name in SCORES}


def skeletons(images: Sequence[TracedImage], threshold: float) -> list[RoadGraph]:
    """The thinned masks of roads."""
    return [skeleton_graph(image.scores[ROAD] > threshold) for image in images]


def compare(data: Path, folder: Path, window: int, training_images: int, panels: Path | None) -> None:
    """Print the scores of both graphs as a table, and write pictures."""
    torch.manual_seed(0)
    model = SamRoadForRoadGraph.from_pretrained(folder).eval()
    splits = {name: load_dataset("s5-image-graph", data_dir=str(data), split=name) for name in ("train", "val")}
    train = splits["train"].select(range(training_images))
    true = {name: [graph_of(sample, sample["image"].size) for sample in part] for name, part in
            (("train", train), ("val", splits["val"]))}  # fmt: skip
    learned, held_out = traced(model, train, window), traced(model, splits["val"], window)
    by_threshold = {value: scores(skeletons(learned, value), true["train"])["apls"] for value in MASK_THRESHOLDS}
    threshold = max(by_threshold, key=by_threshold.get)
    of_masks = skeletons(held_out, threshold)
    config = model.config
    print(
        f"{len(held_out)} held-out images; thresholds: keypoints {config.keypoint_threshold:.3f}, roads "
        f"{config.road_threshold:.3f}, topology {config.topology_threshold:.3f}; mask of the skeleton {threshold}"
    )
    print("| graph | " + " | ".join(SCORES) + " |\n|---|" + "---|" * len(SCORES))
    for name, graphs in (("network", [image.graph for image in held_out]), ("skeleton of its mask", of_masks)):
        values = scores(graphs, true["val"])
        print(f"| {name} | " + " | ".join(f"{100 * values[score]:.1f}" for score in SCORES) + " |")
    if panels is not None:
        panels.mkdir(parents=True, exist_ok=True)
        for number, sample in enumerate(splits["val"]):
            pixels = np.asarray(sample["image"])
            graphs = (true["val"][number], held_out[number].graph, of_masks[number])
            colors = (TRUTH, FOUND, (90, 170, 255))
            tiles = [draw_graph(pixels, graph, color) for graph, color in zip(graphs, colors, strict=True)]
            contact_sheet(tiles, ["labels", "network", "skeleton of its mask"]).save(panels / f"{sample['id']}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="make lines of road masks")
    data.add_argument("source", type=Path)
    data.add_argument("output", type=Path)
    roads_scene.add_options(commands.add_parser("scene", help="time and memory of whole scenes"))
    compared = commands.add_parser("compare", help="score the graphs of a network and the skeletons of its masks")
    compared.add_argument("data", type=Path)
    compared.add_argument("model", type=Path)
    compared.add_argument("--window", type=int, default=256, help="side of the windows in pixels")
    compared.add_argument("--training-images", type=int, default=8, help="on which the mask's threshold is chosen")
    compared.add_argument("--panels", type=Path, help="folder for pictures")
    arguments = parser.parse_args()
    if arguments.command == "data":
        make_data(arguments.source, arguments.output)
    elif arguments.command == "scene":
        roads_scene.report(arguments.width, arguments.heights, arguments.size)
    else:
        compare(arguments.data, arguments.model, arguments.window, arguments.training_images, arguments.panels)


if __name__ == "__main__":
    main()
