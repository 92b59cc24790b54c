"""Does a small network learn to answer questions about made-up scenes with masks, on one core and from nothing?

    python benchmarks/pixel_reasoning.py --seeds 0 1 2 --folder work/reasoning
    python benchmarks/pixel_reasoning.py --seeds 0 1 2 --folder work/reasoning-vit -- --backbone s5_vit ...

For each seed it trains the recipe `reasoning_tiny_cpu` on scenes with questions, and asks about scenes that it has not
seen: the questions of the training, and questions in words that it knows but never met together (`WITHHELD`). It
prints gIoU, cIoU, P@0.5 and the seconds of the processor, and gIoU by kind of question beside that of an answer that
knows the class and ignores place and colour. Pictures of the validation stay in the folder of each run. Words behind
`--` are keys of the recipe.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s4p_effect import interval

from measuring import argument_parser, parse_with_options, print_head, print_row, processor_in_words, spread

if TYPE_CHECKING:
    from s5_hf.metrics import ReasoningCounts

Sample = dict[str, Any]
TRAINING_SCENES, TEST_SCENES = 320, 32
TRAINING_QUESTIONS = 12
"""About each scene of the training; the tests have 8."""
WITHHELD = frozenset(
    {
        *("find the water", "find the fields", "show me the roads", "show me the trees", "show me the roofs"),
        "the trees in the north of the picture",
        "the water in the east of the picture",
        "the fields in the south of the picture",
        "the red roofs south of the river",
    }
)
"""Questions of the test alone; all their words are in questions of the training."""
ASKED = {"val": "known questions", "test": "new questions"}
SCORES = ("gIoU", "cIoU", "P@0.5")


def kind_of(question: str) -> str:
    """What a question needs besides the class."""
    if "picture" in question:
        return "half of the picture"
    if "red" in question or " of the " in question:
        return "colour or side of the water"
    return "name" if question.startswith(("the ", "find ", "show ")) else "use"


def write_questions(folder: Path, seed: int) -> None:
    """Scenes for training, and others for both tests."""
    from s5_hf.synthetic import write_synthetic_questions

    common = {"folder": folder, "wanted": lambda question: question not in WITHHELD}
    for split, count, first, changes in (
        ("train", TRAINING_SCENES, 1000 * seed + 1, {"per_scene": TRAINING_QUESTIONS}),
        ("val", TEST_SCENES, 1000 * seed + 900, {}),
        ("test", TEST_SCENES, 1000 * seed + 900, {"wanted": WITHHELD.__contains__}),
    ):
        if not (folder / f"{split}.csv").exists():
            write_synthetic_questions(count=count, seed=first, split=split, **{**common, **changes})


def whole_classes(seed: int) -> dict[str, Any]:
    """The masks of whole classes of the test scenes, by scene and name."""
    from s5_hf.synthetic import synthetic_dataset
    from s5_hf.synthetic.questions import THINGS

    scenes = enumerate(synthetic_dataset(TEST_SCENES, 256, 1000 * seed + 900))
    return {
        f"{number:06d} {name}": scene.mask == class_id
        for number, scene in scenes
        for class_id, (names, _) in THINGS.items()
        for name in names
    }


def score(model_folder: Path, data: Path, seed: int) -> dict[str, dict[str, float]]:
    """Percent: the scores of known and new questions, and gIoU by kind, of the model and of whole classes."""
    from datasets import load_dataset

    from s5_hf.metrics import ReasoningCounts, in_percent
    from s5_hf.modeling import SegEarthR1ForPixelReasoning, SegEarthR1Processor

    model = SegEarthR1ForPixelReasoning.from_pretrained(model_folder).eval()
    processor = SegEarthR1Processor.from_pretrained(model_folder)
    classes = whole_classes(seed)
    found: dict[str, dict[str, float]] = {}
    for split, asked in ASKED.items():
        total, kinds = ReasoningCounts(), {}
        samples = load_dataset("s5-image-question-mask", data_dir=str(data), split=split, streaming=True)
        for scene, about in groupby(samples, key=scene_of):
            for question, answer, truth in answers(model, processor, list(about)):
                total.update(answer, truth)
                kind = kind_of(question)
                mine, whole = kinds.setdefault(kind, (ReasoningCounts(), ReasoningCounts()))
                mine.update(answer, truth)
                if kind not in ("name", "use"):
                    name = "roofs" if "roofs" in question else question.split()[1]
                    whole.update(classes[f"{scene} {name}"], truth)
        found[asked] = {name: in_percent(total.scores()[name]) for name in SCORES}
        for kind, (mine, whole) in kinds.items():
            found[f"{asked}, {kind}"] = {"gIoU": giou(mine), "class alone": giou(whole)}
    return found


def scene_of(sample: Sample) -> str:
    """The number of the scene, in six digits."""
    return sample["id"].rpartition(":")[0].rpartition("_")[2].removesuffix(".png")


def answers(model: Any, processor: Any, samples: list[Sample]) -> Iterator[tuple[str, Any, Any]]:
    """Question, answer and truth of samples about one scene."""
    import numpy as np
    import torch

    from s5_hf.imaging import image_pixels

    questions, truths = [one["question"] for one in samples], [np.asarray(one["mask"]) > 0 for one in samples]
    prompts = processor.encode_prompts(questions).as_inputs()
    del prompts["labels"]
    pixels = processor.image_processor(image_pixels(samples[0]["image"]), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        output = model(pixel_values=pixels, image_rows=torch.zeros(len(samples), dtype=torch.int64), **prompts)
    masks = processor.post_process_masks(output, [truth.shape for truth in truths])
    return zip(questions, masks, truths, strict=True)


def giou(counts: ReasoningCounts) -> float | None:
    """In percent; None where nothing was counted."""
    from s5_hf.metrics import in_percent

    overlap = counts.scores()["gIoU"]
    return None if overlap != overlap else in_percent(overlap)


def run(folder: Path, seed: int, words: list[str]) -> dict[str, dict[str, float]]:
    """The scores of a seed; those of a finished run are read."""
    from accelerate.state import AcceleratorState

    from s5_hf.training import run_training

    data, output = folder / f"questions-{seed}", folder / f"run-{seed}"
    scores = folder / f"scores-{seed}.json"
    if scores.exists():
        return json.loads(scores.read_text(encoding="utf-8"))
    write_questions(data, seed)
    AcceleratorState._reset_state(reset_partial_state=True)
    keys = ["--data_dir", str(data), "--output_dir", str(output), "--seed", str(seed), "--trackers", "none"]
    spent, began = folder / f"seconds-{seed}.txt", time.process_time()
    try:
        run_training("reasoning", ["reasoning_tiny_cpu", *keys, "--resume", "auto", *words])
    finally:  # an interrupted run is taken up by another process
        with spent.open("a", encoding="utf-8") as parts:
            parts.write(f"{time.process_time() - began:.0f}\n")
    seconds = sum(map(int, spent.read_text(encoding="utf-8").split()))
    found = {**score(output / "reasoner", data, seed), "training": {"seconds": seconds}}
    scores.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def report(found: dict[int, dict[str, dict[str, float]]]) -> None:
    """Print both tables."""
    print(f"\n{processor_in_words()}\n")
    print_head("seed", *(f"{asked}: {name}" for asked in ASKED.values() for name in SCORES), "processor seconds")
    for seed, scores in found.items():
        cells = [f"{scores[asked][name]:.1f}" for asked in ASKED.values() for name in SCORES]
        print_row(str(seed), *cells, f"{scores['training']['seconds']:.0f}")
    columns = [[scores[asked][name] for scores in found.values()] for asked in ASKED.values() for name in SCORES]
    print_row("mean ± deviation", *(spread(values) for values in columns), "")
    print_row("95 % interval", *("{:.1f} to {:.1f}".format(*interval(values)) for values in columns), "")
    print()
    print_head("questions", "gIoU", "gIoU of the whole class")
    for kind in dict.fromkeys(name for scores in found.values() for name in scores if ", " in name):
        rows = [scores[kind] for scores in found.values() if kind in scores]
        whole = [row["class alone"] for row in rows if row["class alone"] is not None]
        print_row(kind, spread([row["gIoU"] for row in rows]), f"{statistics.mean(whole):.1f}" if whole else "")


def main() -> None:
    """Train every seed and print the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=None, help="kept, and resumed from; a temporary one by default")
    arguments, words = parse_with_options(parser)
    with tempfile.TemporaryDirectory() as temporary:
        report({seed: run(arguments.folder or Path(temporary), seed, words) for seed in arguments.seeds})


if __name__ == "__main__":
    main()
