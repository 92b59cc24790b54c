"""Curated against random unlabelled images, over several seeds: FixMatch with as many of an archive, in pairs.

    python benchmarks/s4p_archive.py s4p_few_labels_cpu --side 100 --positive 4 --mixed 0.05 --labelled 1 \
        --foreign DATA/rsscn7 DATA/massroads/train/images DATA/flood/train/images --arms random curated clean \
        --start "--total-steps 150 --learning-rate 3e-3" -- --labelled-dir DATA/citymaps --classes land water

For each seed an archive is made: the unlabelled tiles, and a share of patches that are bad or redundant. These are
near-copies of one tile, tiles out of focus or under clouds, empty patches (black or grey), and images of --foreign.
The arms are FixMatch from the same start, with the same labelled images and steps, and unlabelled images that are

- `random`: drawn from the archive
- `curated`: chosen from it by this package: scored by the start of the seed, selected with --select
- `filtered`: drawn from what the limits of --select leave, against blank patches, noise and near-copies
- `whole`: the archive
- `clean`: drawn from its tiles, which nobody could do without knowing them

All but `whole` have as many, --kept of the archive. `supervised` has none. Other options are those of s4p_effect.py.
With --look nothing is trained but the start: only the choices are made and counted.
"""

import argparse
import json
import random
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageEnhance, ImageFilter
from s4p_effect import START, Trial, print_differences, print_scores, read_trial, trial_parser

from measuring import print_head, print_row
from s5_hf.curation import (
    ClusterSettings,
    ImageSource,
    ScoreSettings,
    SelectionSettings,
    make_prototypes,
    make_selection,
    open_images,
    score_images,
    write_curated_dataset,
)
from s5_hf.curation.prototypes import Prototypes
from s5_hf.curation.score_table import ScoreFolder
from s5_hf.curation.sources import ImageList
from s5_hf.curation.walk import largest_remainder
from s5_hf.files.atomic import atomic_folder, write_text
from s5_hf.files.typed_settings import settings_from
from s5_hf.predictors.feature_segmenter import Segmenter

KINDS_FILE = "kinds.json"
ARMS = ("supervised", "random", "curated", "filtered", "whole", "clean")
PAIRS = (
    ("curated", "random"),
    ("filtered", "random"),
    ("whole", "random"),
    ("clean", "random"),
    ("clean", "curated"),
    *((arm, "supervised") for arm in ("random", "curated", "filtered", "whole", "clean")),
)


def nearly_copied(tile: Image.Image, generator: random.Random) -> Image.Image:
    """The tile a few pixels aside, a little lighter or darker, and compressed again."""
    left, top = generator.randint(0, 3), generator.randint(0, 3)
    moved = tile.crop((left, top, tile.width - 3 + left, tile.height - 3 + top)).resize(tile.size)
    lit = ImageEnhance.Brightness(moved).enhance(generator.uniform(0.93, 1.07))
    buffer = BytesIO()
    lit.save(buffer, "JPEG", quality=generator.randint(60, 90))
    return Image.open(buffer)


def blurred(tile: Image.Image, generator: random.Random) -> Image.Image:
    """The tile out of focus."""
    return tile.filter(ImageFilter.GaussianBlur(generator.uniform(3, 5)))


def clouded(tile: Image.Image, generator: random.Random) -> Image.Image:
    """The tile behind clouds, which hide most of it."""
    values = np.random.default_rng(generator.getrandbits(32)).uniform(120, 255, (6, 6)).astype(np.uint8)
    cover = Image.fromarray(values).resize(tile.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", tile.size, (232, 234, 238)), tile, cover)


def emptied(tile: Image.Image, generator: random.Random) -> Image.Image:
    """No data: black except for a strip of the tile, or one grey with the noise of a sensor."""
    if generator.random() < 0.5:
        black = Image.new("RGB", tile.size)
        black.paste(tile.crop((0, 0, round(tile.width * generator.uniform(0, 0.3)), tile.height)))
        return black
    noise = np.random.default_rng(generator.getrandbits(32)).normal(
        generator.uniform(20, 220), 3, (*tile.size[::-1], 3)
    )
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


MADE: Mapping[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "copied": nearly_copied,
    "blurred": blurred,
    "clouded": clouded,
    "empty": emptied,
}
SHARES = {"copied": 6, "blurred": 3, "clouded": 4, "empty": 4, "foreign": 6}


def opened(path: Path) -> Image.Image:
    """An image in RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


def write_archive(tiles: Sequence[Path], foreign: Sequence[Path], bad_share: float, seed: int, target: Path) -> Path:
    """Write the archive of a seed, unless it is there: numbered images in a drawn order, and what each of them is.

    Args:
        tiles: the good images, all of one size.
        foreign: images of other places, scales and sensors.
        bad_share: of the archive, 0 to 1.
        seed: of all that is drawn.
        target: folder; `images` and `kinds.json` in it. Of near-copies, the tile itself is called "copied" too.
    """
    if target.exists():
        return target
    generator = random.Random(seed)
    bad = round(len(tiles) * bad_share / (1 - bad_share))
    counts = dict(zip(SHARES, largest_remainder(bad, list(SHARES.values())).tolist(), strict=True))
    original = generator.choice(tiles)
    entries = [("copied" if path == original else "clean", opened(path)) for path in tiles]
    size = entries[0][1].size
    for kind, count in counts.items():
        for path in generator.sample(foreign, count) if kind == "foreign" else generator.choices(tiles, k=count):
            image = opened(original if kind == "copied" else path)
            entries.append((kind, MADE[kind](image, generator) if kind in MADE else fitted(image, size)))
    generator.shuffle(entries)
    with atomic_folder(target) as folder:
        (folder / "images").mkdir(parents=True)
        for number, (_, image) in enumerate(entries):
            image.save(folder / "images" / f"{number:04d}.png")
        kinds = {f"{number:04d}": kind for number, (kind, _) in enumerate(entries)}
        write_text(folder / KINDS_FILE, json.dumps(kinds, indent=1))
    return target


def fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of an image at a size."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize(size, Image.Resampling.BOX)


def bad_ones(kinds: Mapping[str, str], names: Sequence[str]) -> Counter[str]:
    """How many of the named images are bad or redundant, by kind; one of the near-copies is neither."""
    found = Counter(kinds[name] for name in names)
    return Counter({kind: found[kind] - (kind == "copied" and found[kind] > 0) for kind in SHARES})


def copied_images(archive: Path, names: Sequence[str], target: Path) -> Path:
    """A folder with the named images of an archive."""
    if not target.exists():
        with atomic_folder(target) as folder:
            for name in names:
                (folder / "images").mkdir(parents=True, exist_ok=True)
                shutil.copy(archive / "images" / f"{name}.png", folder / "images" / f"{name}.png")
    return target


@dataclass(frozen=True)
class Curation:
    """An archive with its scores, which several selections share.

    Attributes:
        images: of the archive.
        scores: of them, each taken as a whole.
        prototypes: of patches of the labelled images.
        output: folder of all steps.
    """

    images: ImageList
    scores: ScoreFolder
    prototypes: Prototypes
    output: Path

    @classmethod
    def of(
        cls, model: Path, labelled: Path, archive: Path, output: Path, patches: ScoreSettings, clusters: int
    ) -> "Curation":
        """Score the images of an archive, and cluster the labelled ones, cut into patches."""
        segmenter = Segmenter.from_pretrained(model)
        images = open_images(ImageSource(folder=str(archive / "images")))
        known = score_images(segmenter, open_images(ImageSource(folder=str(labelled))), output / "labelled", patches)
        scores = score_images(segmenter, images, output / "scores", ScoreSettings(patch_size=None))
        prototypes = make_prototypes(known, output / "prototypes.safetensors", ClusterSettings(clusters))
        return cls(images, scores, prototypes, output)

    def select(self, name: str, settings: SelectionSettings) -> list[str]:
        """Choose images and export them to the folder of that name: their names."""
        selection = make_selection(self.scores, self.output / f"selection-{name}", settings, self.prototypes)
        write_curated_dataset(selection, self.scores, self.images, self.output / name)
        return [Path(found).stem for found in selection.chosen()["id"].to_pylist()]


@dataclass(frozen=True)
class Choices:
    """What one seed's runs get.

    Attributes:
        words: of each choice, the options that name its images.
        bad: of each choice, how many images are bad or redundant, by kind.
        kept: images of each choice but the whole archive.
        archive: images of that.
    """

    words: Mapping[str, Sequence[str]]
    bad: Mapping[str, Counter[str]]
    kept: int
    archive: int


def print_choices(chosen: Sequence[Choices]) -> None:
    """Print how many images of each choice are bad or redundant, over the seeds."""
    print_head("unlabelled images", "number", "bad or redundant, percent", *SHARES, "percent of each seed")
    for arm in chosen[0].bad:
        sizes = [choices.archive if arm == "whole" else choices.kept for choices in chosen]
        shares = [100 * sum(choices.bad[arm].values()) / size for choices, size in zip(chosen, sizes, strict=True)]
        kinds = (f"{statistics.mean(choices.bad[arm][kind] for choices in chosen):.1f}" for kind in SHARES)
        each = ", ".join(f"{share:.0f}" for share in shares)
        print_row(arm, f"{statistics.mean(sizes):.0f}", f"{statistics.mean(shares):.1f}", *kinds, each)
    print()


def unlabelled(dataset: str, place: Path) -> list[str]:
    """Options of a run for its unlabelled images."""
    return ["--unlabelled-dataset", dataset, "--unlabelled-dir", str(place)]


def choose(arguments: argparse.Namespace, trial: Trial, foreign: Sequence[Path], seed: int) -> Choices:
    """Make the archive of a seed and every choice from it, as folders of images or exported datasets."""
    folder, source = trial.output / f"archive-{seed}", trial.data / "train"
    known = (trial.output / f"labelled-{seed}.txt").read_text(encoding="utf-8").split()
    tiles = sorted(path for path in (source / "images").iterdir() if path.stem not in known)
    archive = write_archive(tiles, foreign, arguments.bad, seed, folder / "whole")
    kinds = json.loads((archive / KINDS_FILE).read_text(encoding="utf-8"))
    clean = [name for name, kind in kinds.items() if kind == "clean"]
    clean += [name for name, kind in kinds.items() if kind == "copied"][:1]
    kept = round(len(kinds) * arguments.kept)
    select = settings_from(SelectionSettings, {**arguments.select, "target": kept}, "--select")
    patches = ScoreSettings(patch_size=arguments.patch, stride=arguments.stride)
    labelled = copied_images(source, known, folder / "labelled")
    steps = (labelled, archive, folder / "curation", patches, arguments.clusters)
    curation = Curation.of(trial.weights(seed), *steps)
    names = {
        "random": random.Random(seed).sample(list(kinds), kept),
        "curated": curation.select("curated", select),
        "filtered": curation.select("filtered", replace(select, strategy="random", seed=seed)),
        "whole": list(kinds),
        "clean": random.Random(seed).sample(clean, kept),
    }
    places = {arm: copied_images(archive, names[arm], folder / arm) for arm in ("random", "clean")} | {
        "whole": archive
    }
    words = {
        **{arm: unlabelled("rs4p-1m", folder / "curation" / arm) for arm in ("curated", "filtered")},
        **{arm: unlabelled("s5-images", place / "images") for arm, place in places.items()},
    }
    return Choices(words, {arm: bad_ones(kinds, found) for arm, found in names.items()}, kept, len(kinds))


def main() -> None:
    parser = trial_parser(__doc__, "runs/s4p_archive")
    parser.add_argument("--start", required=True, help="options of the supervised run that every arm starts from")
    parser.add_argument("--foreign", type=Path, nargs="+", required=True, help="folders of other images")
    parser.add_argument("--bad", type=float, default=0.25, help="share of the archive that is bad or redundant")
    parser.add_argument("--kept", type=float, default=0.5, help="share of the archive that is chosen")
    parser.add_argument("--patch", type=int, default=64, help="side of the clustered patches of labelled images")
    parser.add_argument("--stride", type=int, default=12, help="pixels between them")
    parser.add_argument("--clusters", type=int, default=4, help="of them")
    parser.add_argument("--select", type=yaml.safe_load, default={}, help="settings of the selection, as in a recipe")
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS, help="those to train")
    parser.add_argument("--look", action="store_true", help="train the start only, and count what is chosen")
    arguments, trial = read_trial(parser)
    foreign = sorted(path for folder in arguments.foreign for path in folder.rglob("*.jpg"))
    chosen = []
    for seed in arguments.seeds:
        trial.carry_out(START, seed)
        chosen.append(choose(arguments, trial, foreign, seed))
        for arm in () if arguments.look else arguments.arms:
            trial.carry_out(
                arm, seed, chosen[-1].words.get(arm, ()), "supervised" if arm == "supervised" else "fixmatch"
            )
    print_choices(chosen)
    if not arguments.look:
        results = trial.of_seeds(arguments.seeds, [START, *arguments.arms])
        print_scores(results, [START, *arguments.arms])
        print_differences(results, [pair for pair in PAIRS if set(pair) <= set(arguments.arms)])


if __name__ == "__main__":
    main()
