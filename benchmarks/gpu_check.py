"""Everything that only a GPU can tell, in four parts of less than nine minutes each; the findings are JSON.

    python benchmarks/gpu_check.py --part 1     # what is there; parity of logits, gradients and boxes with float64
    python benchmarks/gpu_check.py --part 2     # S4P steps of ViT-L, -B and -H: rate, MFU, memory, waits, kernels
    python benchmarks/gpu_check.py --part 3     # joint segmentation, detection with 10, 100 and 500 objects
    python benchmarks/gpu_check.py --part 4     # real runs from files: idle share, stop and resume, scenes
    python benchmarks/gpu_check.py --smoke      # all of it tiny and on the CPU, to try the program itself

The first three parts need torch, transformers and accelerate, and this checkout; the package need not be installed.
The official algorithm of part 2 needs Pillow, and part 4 needs what the package needs: beside what a machine for torch
usually has, the wheels of datasets, dill, multiprocess and xxhash. A measurement that fails, or for which no time is
left, is named in the findings, and the others go on.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for the deterministic step

from gpu_parts.checkout import make_importable  # noqa: E402 - after the path is set

make_importable(HERE.parent)

import torch  # noqa: E402
from gpu_parts.report import Check  # noqa: E402

PARTS = (1, 2, 3, 4)


def main(words: Sequence[str] | None = None) -> dict[int, dict]:
    """Check, and return the findings by part."""
    arguments = parse(words)
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() and not arguments.smoke else "cpu"))
    findings = {}
    for part in arguments.part or PARTS:
        output = Path(arguments.output.format(part=part))
        check = Check(output, device, arguments.smoke, arguments.seconds, arguments.limit)
        check.content["part"] = part
        run_part(part, check)
        check.write()
        findings[part] = check.content
        failed, skipped = len(check.content["failed"]), len(check.content["skipped"])
        print(f"part {part}: {len(check.content['rows'])} measured, {failed} failed, {skipped} skipped: {output}")
    return findings


def run_part(part: int, check: Check) -> None:
    """One part; each imports what it needs."""
    if part == 1:
        from gpu_parts.machine import run
    elif part == 2:
        from gpu_parts.steps import run_s4p as run
    elif part == 3:
        from gpu_parts.steps import run_joint as run
    else:
        from gpu_parts.programs import run
    run(check)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, choices=PARTS, action="append", help="part to run, all by default")
    parser.add_argument("--output", default="gpu_check_{part}.json", help="file for the findings of a part")
    parser.add_argument("--device", help="such as cuda:0 or cpu; default: a GPU if there is one")
    parser.add_argument("--seconds", type=float, default=420.0, help="after these no measurement of a part begins")
    parser.add_argument("--limit", type=float, default=530.0, help="after these the measurement that runs is ended")
    parser.add_argument("--smoke", action="store_true", help="tiny, on the CPU unless a device is named")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
