"""Part 4: real runs from files, as users start them: idle share, stop and resume, and maps of scenes."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

import s5_hf
from gpu_parts.report import Check

PLACE = Path(s5_hf.__file__).parents[1]
"""Where programs find the package: the checkout, or links to its parts."""
CLASSES = ("field", "road", "building")
STOPPED = 128 + signal.SIGTERM


def run(check: Check) -> None:
    """All measurements of the part, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        formats = ("png",) if check.smoke else ("jpg", "png")
        for suffix in formats:
            check.measure(f"recipe fed from {suffix}", lambda suffix=suffix: fed_row(check, folder / suffix, suffix))
        check.measure("stop and resume", lambda: resume_row(check, folder / "stopped", folder / formats[0]))
        for precision in ("fp32", "bf16"):
            name = f"scene {precision}"
            check.measure(name, lambda p=precision: scene_row(check, folder / formats[0], folder / p, p))


def write_images(folder: Path, count: int, side: int, suffix: str) -> None:
    """Images in blocks with masks, as JPEG or PNG, in train and val."""
    rng = np.random.default_rng(0)
    colours = np.array([[90, 140, 60], [120, 120, 120], [170, 80, 70]])
    for split, number in (("train", count), ("val", 2)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for index in range(number):
            mask = rng.integers(0, 3, (side // 32, side // 32)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
            image = np.clip(colours[mask] + rng.normal(0, 25, (side, side, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(folder / split / "images" / f"{index:04d}.{suffix}", quality=90)
            Image.fromarray(mask).save(folder / split / "masks" / f"{index:04d}.png")


def command(check: Check, data: Path, output: Path, steps: int, *words: str) -> list[str]:
    """The words that start a pre-training: ViT-B in the published setting, or a tiny one."""
    recipe, batch = ("s4p_tiny_cpu", 2) if check.smoke else ("s4p_vit_b", 12)
    tiny = ("--hidden-size", "32", "--num-hidden-layers", "4", "--num-attention-heads", "4", "--crop-size", "64")
    workers = "1" if check.smoke else str(min(8, (os.cpu_count() or 2) // 2))
    return [
        *(sys.executable, "-m", "s5_hf.training", "s4p", recipe, "--encoder", "none", "--streaming", "false"),
        *(tiny if check.smoke else ()),
        *("--labelled-dataset", "s5-image-mask", "--labelled-dir", str(data), "--classes", *CLASSES),
        *("--labelled-count", "null", "--unlabelled-dataset", "s5-image-mask", "--unlabelled-dir", str(data)),
        *("--mean-excludes", "road", "--validation-split", "none", "--validation-steps", "0", "--trackers", "none"),
        *("--labelled-batch-size", str(batch), "--unlabelled-batch-size", str(batch), "--num-workers", workers),
        *("--total-steps", str(steps), "--warmup-steps", "0", "--unlabelled-from-step", "0", "--logging-steps", "1"),
        *("--supervised-schedule", "joint", "--output-dir", str(output), *words),
    ]


def start(check: Check, words: list[str]) -> subprocess.Popen:
    """The program, on the device that is checked."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLACE), *paths]), "HF_HUB_OFFLINE": "1"}
    if check.device.type == "cpu":
        environment["ACCELERATE_USE_CPU"] = "true"
    return subprocess.Popen(
        words, cwd=PLACE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(program: subprocess.Popen, expected: int = 0) -> str:
    """Wait for the end; a RuntimeError with the last lines if it is another one than expected."""
    try:
        output = program.communicate(timeout=240)[0]
    finally:
        program.kill()
    if program.returncode != expected:
        raise RuntimeError(f"ended with {program.returncode}, not {expected}: {output[-1500:]}")
    return output


def logged(output: Path) -> list[dict[str, Any]]:
    """The entries of a run's log."""
    path = output / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def fed_row(check: Check, data: Path, suffix: str) -> dict[str, Any]:
    """Seconds per step with images from files; `idle` is the share that a step with images in memory would save.

    The step in memory is that of part 2, measured here again.
    """
    from gpu_parts.steps import s4p_row

    count, side, steps = (12, 64, 3) if check.smoke else (160, 768, 30)
    write_images(data, count, side, suffix)
    output = data.parent / f"run_{suffix}"
    every = "1" if check.smoke else "5"  # between two entries of the log the host does not wait for the device
    finish(start(check, command(check, data, output, steps, "--logging-steps", every)))
    seconds = [entry["seconds_per_step"] for entry in logged(output) if "seconds_per_step" in entry]
    found = median(seconds[len(seconds) // 3 :])
    size, crop, batch = ("ti", 64, 2) if check.smoke else ("b", 512, 12)
    bare = s4p_row(check, size, crop, batch, compiled=False, checkpointing="false")["seconds_per_step"]
    mfu = [entry["mfu"] for entry in logged(output) if "mfu" in entry]
    return {
        "seconds_per_step": found,
        "in_memory": bare,
        "idle": max(0.0, 1 - bare / found),
        "mfu": median(mfu) if mfu else None,
    }


def resume_row(check: Check, output: Path, data: Path) -> dict[str, Any]:
    """SIGTERM while workers read, then the same command with `--resume auto`."""
    steps = 6 if check.smoke else 40
    words = command(check, data, output, steps, "--checkpoint-steps", "1000")
    program, began = start(check, words), time.monotonic()
    while not logged(output) and program.poll() is None and time.monotonic() - began < 150:
        time.sleep(0.05)
    program.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    finish(program, STOPPED)
    stopped_in, made = time.monotonic() - asked, max(entry["step"] for entry in logged(output))
    finish(start(check, [*words, "--resume", "auto"]))
    done = [entry["step"] for entry in logged(output) if "loss" in entry]
    return {"stopped_in_seconds": stopped_in, "stopped_at": made, "every_step_once": done == list(range(1, steps + 1))}


def scene_row(check: Check, data: Path, output: Path, precision: str) -> dict[str, Any]:
    """A scene through `s5-hf predict` with the network of the first run, start included."""
    model = data.parent / f"run_{data.name}" / "segmenter"
    side = 128 if check.smoke else 8192
    scene = output.with_suffix(".png")
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(scene)
    words = [sys.executable, "-m", "s5_hf.cli", "predict", str(model), str(scene), str(output)]
    words += ["--device", str(check.device), "--precision", precision, "--window", "64" if check.smoke else "512"]
    began = time.monotonic()
    finish(start(check, words))
    seconds = time.monotonic() - began
    return {"seconds": seconds, "megapixels_per_second": side**2 / 1e6 / seconds}
