"""What the benchmarks share: their options, clocks, peak memory, processes of their own, networks and tables.

torch is imported where it is needed: some benchmarks measure the memory of processes without it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


def processor_in_words() -> str:
    """The processor's name, its vector instructions and its native formats, for the line above a table."""
    import torch

    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    found = [torch.backends.cpu.get_cpu_capability(), *(flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags)]
    return f"{name} ({', '.join(found)})"


def allocator_in_words(keeps_freed: bool = False) -> str:
    """What environment variables say about the allocator of the C library, or what a benchmark asked of it."""
    tuned = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_") or name == "LD_PRELOAD"}
    chosen = " ".join(f"{name}={value}" for name, value in sorted(tuned.items()))
    return chosen or ("glibc, which keeps freed memory" if keeps_freed else "default allocator")


@dataclass
class Seconds:
    """Of the repetitions of one piece of work."""

    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def take_turns(works: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, Seconds]:
    """Run pieces of work in turns: what else the machine does meets all of them alike.

    Processor time is that of all threads of this process, which the load of a shared machine changes least.
    """
    found = {name: Seconds() for name in works}
    for turn in range(warm_up + repeats):
        for name, work in works.items():
            processor, wall = time.process_time(), time.perf_counter()
            work()
            if turn >= warm_up:
                found[name].processor.append(time.process_time() - processor)
                found[name].wall.append(time.perf_counter() - wall)
    return found


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
