"""How much the refinement of SPECIAL improves uncertain first labels, on made-up cubes whose truth is known.

    python benchmarks/hyperspectral.py --seeds 0 1 2

Prints for every seed the overall accuracy of the first labels, of the same network trained on them alone for as many
steps, of the most frequent first label among the 5 x 5 neighbours, and of the whole method; then means and the
processor time of a run.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from s5_hf.hyperspectral import ArrayCube, FirstLabels, SpecialRecipe, classify_cube
from s5_hf.synthetic import SyntheticCube, synthetic_cube

ROWS = ("first labels", "most frequent neighbour", "network without refinement", "SPECIAL")


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--wrong", type=float, default=0.3, help="share of wrong first labels")
    parser.add_argument("--patch-size", type=float, default=0, help="of the errors in pixels; 0: on single pixels")
    arguments = parser.parse_args()
    table = []
    for seed in arguments.seeds:
        made = synthetic_cube(seed, wrong=arguments.wrong, patch_size=arguments.patch_size)
        began = time.process_time()
        refined = classified(made, recipe_of(seed, arguments.epochs, arguments.epochs // 2))
        seconds = time.process_time() - began
        alone = classified(made, recipe_of(seed, arguments.epochs, arguments.epochs))
        scores = [accuracy(found, made) for found in (made.first_labels, smoothed(made), alone, refined)]
        table.append(scores)
        row = ", ".join(f"{name} {score:.1%}" for name, score in zip(ROWS, scores, strict=True))
        print(f"seed {seed}: {row}; {seconds:.0f} s of processor time")
    for name, scores in zip(ROWS, np.transpose(table), strict=True):
        print(f"{name:28} {np.mean(scores):6.1%} (lowest {np.min(scores):.1%})")


def recipe_of(seed: int, epochs: int, warmup_epochs: int) -> SpecialRecipe:
    """The settings of a run; a warm-up of all rounds is a run without refinement."""
    return SpecialRecipe.make(epochs=epochs, warmup_epochs=warmup_epochs, seed=seed)


def classified(made: SyntheticCube, recipe: SpecialRecipe) -> np.ndarray:
    """The map of a cube."""
    labels = [f"class {index}" for index in range(made.truth.max() + 1)]
    with tempfile.TemporaryDirectory() as folder:
        first, output = Path(folder) / "first.png", Path(folder) / "map.png"
        Image.fromarray(made.first_labels).save(first)
        classify_cube(ArrayCube(made.values), output, FirstLabels(labels=labels, label_file=first), recipe)
        return np.asarray(Image.open(output))


def smoothed(made: SyntheticCube) -> np.ndarray:
    """The most frequent first label among 5 x 5 pixels."""
    counts = [ndimage.uniform_filter((made.first_labels == index).astype(float), 5) for index in np.unique(made.truth)]
    return np.unique(made.truth)[np.stack(counts).argmax(axis=0)]


def accuracy(found: np.ndarray, made: SyntheticCube) -> float:
    """Share of pixels with the true class."""
    return float((found == made.truth).mean())


if __name__ == "__main__":
    main()
