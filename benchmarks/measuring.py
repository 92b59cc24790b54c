"""What the benchmarks share: their options, clocks, peak memory, processes of their own, networks and tables.

torch is imported where it is needed: some benchmarks measure the memory of processes without it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s5_hf.modeling import S5ForSemanticSegmentation

EXAMPLES = Path(__file__).parents[1] / "examples"


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the docstring of the script."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def parse_with_options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, list[str]]:
    """The arguments of a script, and the words behind `--`, which go to an example."""
    words = sys.argv[1:]
    split = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:split]), words[split + 1 :]


def now(device: str = "cpu") -> float:
    """Seconds on the clock, once the device has done what it was given."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds on the clock that a call takes."""
    start = now(device)
    work()
    return now(device) - start


def peak_bytes(device: str = "cpu") -> int:
    """Peak memory so far: of the allocator on a GPU, of this process otherwise (Windows has none)."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: its peak includes the parent's, from which the process was forked.
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_own_process(words: Sequence[str]) -> Any:
    """Run the script again with other words: the JSON of the last line that it prints.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    command = [sys.executable, sys.argv[0], *words]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def make_segmenter(size: str, image_size: int, **settings: object) -> S5ForSemanticSegmentation:
    """S5 ViT + UPerNet with new weights and 16 classes; `settings` are those of the configuration."""
    from s5_hf.modeling import S5ForSemanticSegmentation, S5SegmentationConfig, S5ViTConfig

    backbone = S5ViTConfig.from_size(size, image_size=image_size)
    tasks = {"isaid": ["background", *(f"class_{index}" for index in range(15))]}
    return S5ForSemanticSegmentation(S5SegmentationConfig(backbone_config=backbone, tasks=tasks, **settings))


def torch_in_words() -> str:
    """Version and threads, for the line above a table."""
    import torch

    return f"torch {torch.__version__}, {torch.get_num_threads()} threads"


def print_row(*cells: str) -> None:
    """A row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def print_head(*cells: str) -> None:
    """The first two rows of a Markdown table."""
    print_row(*cells)
    print(f"|{'---|' * len(cells)}", flush=True)


def spread(values: Sequence[float | None], digits: int = 1) -> str:
    """Mean and standard deviation of a sample, without values that are `None` or NaN."""
    known = [value for value in values if value is not None and value == value]
    if not known:
        return "-"
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.mean(known):.{digits}f} ± {deviation:.{digits}f}"


def run_example(script: str, words: Sequence[str], folder: Path, model: str, threads: int | None = None) -> None:
    """Run an example that resumes, with its output in `folder.log`, unless its run is complete.

    Args:
        script: of the examples.
        words: its arguments, except the folder.
        folder: of the run.
        model: subfolder that a complete run leaves.
        threads: for its sums; as the environment says if not given.

    Raises:
        SystemExit: if it fails.
    """
    if (folder / model).is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(EXAMPLES / script), *words, "--output-dir", str(folder), "--resume", "auto"]
    log = folder.with_suffix(".log")
    environment = os.environ if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with log.open("a", encoding="utf-8") as output:
        finished = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if finished.returncode:
        raise SystemExit(f"{folder.name} ended with status {finished.returncode}; its output is in {log}")
