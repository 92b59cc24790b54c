"""How long `s5-hf predict` takes until its first forward pass, and what of it is not this package.

    python benchmarks/start_up.py                      # a small ViT + UPerNet, one PNG of 512 px
    python benchmarks/start_up.py --model s5-vit-b-upernet --compile

Every row is the median over processes of its own, which take turns: seconds on the clock from the start of the
process, processor seconds of it and of its ended children, and its peak memory. The baselines are the imports of
torch, and of torch with a model class of transformers, by themselves. With `--compile` two rows with `torch.compile`
are added: with an empty cache (TORCHINDUCTOR_CACHE_DIR), and with what that left.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from measuring import argument_parser, print_head, print_row, processor_in_words

# What a process does before it says how long it took, and that since its start. Python starts the clock of the
# processor; the parent hands on its own for the time on the clock.
ENDING = """
import json, os, time
from measuring import peak_bytes
print(json.dumps([[time.time() - float(os.environ["STARTED"]), sum(os.times()[:4]), peak_bytes() / 2**30]]))
"""
PREDICT = """
import json, os, sys, time
from measuring import peak_bytes
from s5_hf.modeling import S5ForSemanticSegmentation
moments, forward = [], S5ForSemanticSegmentation.forward

def note():
    moments.append([time.time() - float(os.environ["STARTED"]), sum(os.times()[:4]), peak_bytes() / 2**30])

def noted(self, *arguments, **named):
    if not moments:
        note()
    return forward(self, *arguments, **named)

if "--compile" not in sys.argv:
    S5ForSemanticSegmentation.forward = noted
from s5_hf.cli import main
try:
    main()
except SystemExit as end:
    if end.code:
        raise
note()
print(json.dumps(moments))
"""
BARE = {
    "import torch": "import torch" + ENDING,
    "import torch and a model of transformers": "import torch; from transformers import SegformerModel" + ENDING,
}


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--model", help="a known name or a folder; a small new model by default")
    parser.add_argument("--side", type=int, default=512, help="of the picture, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="add a row with torch.compile")
    return parser.parse_args()


def save_small_model(folder: Path) -> None:
    """A ViT of width 192 and 6 blocks with UPerNet, with its image processor."""
    from s5_hf.modeling import S5ForSemanticSegmentation, S5ImageProcessor, S5SegmentationConfig, S5ViTConfig

    vit = S5ViTConfig(hidden_size=192, num_hidden_layers=6, num_attention_heads=3, image_size=512)
    config = S5SegmentationConfig(backbone_config=vit, tasks={"scene": ["a", "b", "c"]}, decoder_channels=64)
    S5ForSemanticSegmentation(config).save_pretrained(folder)
    S5ImageProcessor().save_pretrained(folder)


def run(code: str, words: list[str], cache: Path) -> list[list[float]]:
    """The moments that a process of its own prints last: time on the clock and of the processor, and peak memory."""
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    environment = {**os.environ, **own, "STARTED": str(time.time())}
    command = [sys.executable, "-c", code, *words]
    finished = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(finished.stdout.splitlines()[-1])


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = arguments.model
        if model is None:
            save_small_model(folder / "model")
            model = str(folder / "model")
        picture = np.random.default_rng(0).integers(0, 255, (arguments.side, arguments.side, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "picture.png")
        predict = ["predict", model, str(folder / "picture.png"), str(folder / "map.png"), "--overwrite"]
        works = {name: (code, []) for name, code in BARE.items()} | {"s5-hf predict": (PREDICT, predict)}
        if arguments.compile:
            for state in ("empty cache", "filled cache"):
                works[f"s5-hf predict --compile, {state}"] = (PREDICT, [*predict, "--compile"])
        found = {name: [] for name in works}
        for turn in range(arguments.rounds):
            for name, (code, words) in works.items():
                found[name].append(run(code, words, folder / f"cache{turn}"))
    print(f"{arguments.model or 'ViT of width 192'}, {arguments.side} px, {processor_in_words()}\n")
    print_head("process", "until", "wall, s", "processor time, s", "peak memory, GiB")
    for name, rounds in found.items():
        moments = np.median(np.array(rounds), axis=0)
        ends = ["its first forward pass", "its end"][-len(moments) :]
        for end, values in zip(ends, moments, strict=True):
            print_row(name, end, *(f"{value:.2f}" for value in values))


if __name__ == "__main__":
    main()
