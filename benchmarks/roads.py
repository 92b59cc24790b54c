"""Road graphs by a small network on real imagery, against thinned segmentations by the same encoder.

python benchmarks/roads.py data ../shared/data/massroads work/roads
s5-hf train roads roads_tiny_cpu --data-dir work/roads --output-dir work/graph
python benchmarks/roads.py scene
python benchmarks/roads.py compare work/roads work/graph/road_model --segmenter work/masks/segmenter
"""

import argparse
from pathlib import Path

import numpy as np
import roads_scene
from PIL import Image
from tqdm import tqdm

from s5_hf.roads import write_graph
from s5_hf.roads.skeletons import skeleton_graph

ROAD = 1


def make_data(source: Path, output: Path) -> None:
    """Thin the road masks of `source/{train,val}/{images,masks}` to lines, in the layout of `s5-image-graph`."""
    for split in ("train", "val"):
        for kind in ("images", "lines"):
            (output / split / kind).mkdir(parents=True, exist_ok=True)
        for path in tqdm(sorted((source / split / "images").iterdir()), split):
            mask = np.asarray(Image.open(source / split / "masks" / f"{path.stem}.png"))
            Image.open(path).save(output / split / "images" / f"{path.stem}.png")
            write_graph(output / split / "lines" / f"{path.stem}.geojson", skeleton_graph(mask == ROAD))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    data = commands.add_parser("data", help="make lines of road masks")
    data.add_argument("source", type=Path)
    data.add_argument("output", type=Path)
    roads_scene.add_options(commands.add_parser("scene", help="time and memory of whole scenes"))
    arguments = parser.parse_args()
    if arguments.command == "data":
        make_data(arguments.source, arguments.output)
    else:
        roads_scene.report(arguments.width, arguments.heights, arguments.size)


if __name__ == "__main__":
    main()
