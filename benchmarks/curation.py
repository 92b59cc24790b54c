"""Curation: scoring against the bare forward pass, selection of millions against plain pandas.

    python benchmarks/curation.py score                       # ViT-S at 256 px on the CPU, some minutes
    python benchmarks/curation.py score --device cuda --precision bf16 --size b --image-size 512 --images 4096
    python benchmarks/curation.py select                      # 1 and 10 million rows; 3.5 GB of disk
    python benchmarks/curation.py select --rows 1000000

`score` compares patches per second of the whole step (reading, decoding, measuring, entropy, writing) with the bare
forward pass of the same model on batches that lie ready; the two take turns. It should reach 0.9 of it. The last
column compares processor time, which other work on the machine changes little.

`select` walks through score files on disk (ids, features of 64 channels, hashes ...) and compares with a plain pandas
version of the same selection in the same run; both choose the same patches, which is checked. Every figure comes from
a process of its own: seconds without imports, processor seconds (which other work on the machine changes little), and
peak memory of the process.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

# What benchmarks share is in measuring.py, so their imports look alike.
from measuring import (
    argument_parser,
    in_own_process,
    make_segmenter,
    peak_bytes,
    print_head,
    print_row,
    timed,
    torch_in_words,
)

CLUSTERS, CHANNELS, CLASSES, ROWS_PER_PART = 16, 64, 6, 250_000
METHODS = {
    "pandas": "pandas: read, sort, groupby, head",
    "plain": "s5-hf select, nothing but the paper's steps",
    "full": "s5-hf select, limits and near-duplicates too",
}


def write_archive(folder: Path, images: int, size: int) -> None:
    """Textured JPEG files of the size of a patch."""
    from PIL import Image

    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for index in range(images):
        small = Image.fromarray(generator.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        small.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{index:06d}.jpg", quality=90)


def benchmark_score(arguments: argparse.Namespace) -> None:
    """Print patches per second of `score` and of the bare forward pass."""
    import torch

    from s5_hf.curation import ScoreSettings, score_images
    from s5_hf.curation.sources import ImageSource, open_images
    from s5_hf.predictors.feature_segmenter import Segmenter

    torch.manual_seed(0)
    model = make_segmenter(arguments.size, arguments.image_size)
    segmenter = Segmenter(
        model, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], precision=arguments.precision, device=arguments.device
    )
    settings = ScoreSettings(
        arguments.image_size, batch_size=arguments.batch_size, pseudo_masks=True, threads=arguments.threads
    )
    shape = (arguments.batch_size, 3, arguments.image_size, arguments.image_size)
    batch = torch.randn(shape, device=arguments.device)

    @torch.inference_mode()
    def bare_forward() -> None:
        enabled = arguments.precision == "bf16"
        for _ in range(arguments.images // arguments.batch_size):
            with torch.autocast(arguments.device, torch.bfloat16, enabled=enabled):
                model(batch)

    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(folder, "archive"), arguments.images, arguments.image_size)
        images = open_images(ImageSource(folder=str(Path(folder, "archive"))))

        def whole_step(turn: int) -> None:
            score_images(segmenter, images, Path(folder, f"scores{turn}"), settings)

        def clocks(work: Callable[[], None]) -> tuple[float, float]:
            processor_start = time.process_time()
            return timed(work, arguments.device), time.process_time() - processor_start

        with torch.inference_mode():
            model(batch)
        turns = [
            (clocks(bare_forward), clocks(lambda turn=turn: whole_step(turn))) for turn in range(arguments.repeats)
        ]
    print(
        f"ViT-{arguments.size.upper()} + UPerNet, {arguments.image_size} px, {arguments.device}, "
        f"{arguments.precision}, {arguments.images} images, batch {arguments.batch_size}, "
        f"{torch_in_words()}, median of {arguments.repeats}\n"
    )
    print_head("contestant", "patches/s", "against the bare forward", "the same, processor time")
    bare, whole = (arguments.images / median(seconds for seconds, _ in rows) for rows in zip(*turns, strict=True))
    wall, processor = (median(b[kind] / w[kind] for b, w in turns) for kind in (0, 1))
    print_row("bare forward", f"{bare:.2f}", "1.00", "1.00")
    print_row("s5-hf curate score", f"{whole:.2f}", f"{wall:.2f}", f"{processor:.2f}")


def write_scores(folder: Path, rows: int) -> None:
    """Made-up score files of `rows` patches, and prototypes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from s5_hf.curation.prototypes import Prototypes
    from s5_hf.curation.score_table import DICTIONARY_COLUMNS, SETTINGS_FILE, part_name, score_schema

    generator = np.random.default_rng(0)
    parts = -(-rows // ROWS_PER_PART)
    metadata = {
        "fingerprint": "benchmark", "labels": [f"class_{index}" for index in range(CLASSES)], "background": 0,
        "feature_size": CHANNELS, "num_parts": parts, "num_images": rows, "patch_size": 512, "stride": 512,
        "pseudo_masks": False, "precision": "fp32", "sources": [],
    }  # fmt: skip
    schema = score_schema(CLASSES, CHANNELS, metadata)
    folder.mkdir(parents=True)
    centres = generator.standard_normal((CLUSTERS, CHANNELS)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    Prototypes(centres, np.arange(100, 100 + CLUSTERS), "benchmark").save(folder / "prototypes.safetensors")
    for part in range(parts):
        first, count = part * ROWS_PER_PART, min(ROWS_PER_PART, rows - part * ROWS_PER_PART)
        numbers = pa.array(np.arange(first, first + count))
        features = centres[generator.integers(CLUSTERS, size=count)]
        features = features + 0.1 * generator.standard_normal((count, CHANNELS), dtype=np.float32)
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        # Rounded, so that there are ties to break by id.
        entropy = pa.array(np.round(generator.gamma(2.0, 0.2, count), 6).astype(np.float32))
        counts = pa.array(generator.integers(1, 50_000, count * CLASSES, dtype=np.int32))
        side = pa.array(np.full(count, 512, dtype=np.int32))
        zero = pa.array(np.zeros(count, dtype=np.int32))
        ids = [f"archive/{number % 997:03d}/image-{number:08d}" for number in range(first, first + count)]
        columns = {
            "id": pa.array(ids),
            "source": pa.array(["archive"] * count), "image": numbers, "left": zero, "top": zero,
            "width": side, "height": side, "entropy": entropy, "entropy_renormalised": entropy,
            "entropy_with_background": entropy, "confidence": entropy,
            "class_counts": pa.FixedSizeListArray.from_arrays(counts, CLASSES),
            "feature": pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), CHANNELS),
            "contrast": pa.array(generator.uniform(0, 60, count).astype(np.float32)),
            "coherence": pa.array(generator.uniform(0.1, 1, count).astype(np.float32)),
            "hash": pa.array(generator.integers(0, 2**64, count, dtype=np.uint64)),
        }  # fmt: skip
        arrays = [columns.get(name, pa.nulls(count, schema.field(name).type)) for name in schema.names]
        table = pa.Table.from_arrays(arrays, schema=schema)
        pq.write_table(table, folder / part_name(part), compression="zstd", use_dictionary=DICTIONARY_COLUMNS)
    (folder / SETTINGS_FILE).write_text(json.dumps(metadata), encoding="utf-8")


def select_with_pandas(folder: Path, target: int) -> list[str]:
    """The paper's steps as one would write them down: part by part into a data frame, sort, head of each group."""
    import pandas as pd

    from s5_hf.curation.prototypes import Prototypes
    from s5_hf.curation.walk import largest_remainder

    prototypes = Prototypes.load(folder / "prototypes.safetensors")
    frames = []
    for part in sorted(folder.glob("part-*.parquet")):
        frame = pd.read_parquet(part, columns=["id", "entropy", "feature"])
        frame["cluster"] = (np.stack(frame.pop("feature").to_numpy()) @ prototypes.centres.T).argmax(axis=1)
        frames.append(frame)
    frame = pd.concat(frames)
    quotas = pd.Series(largest_remainder(target, prototypes.counts))
    frame = frame.sort_values(["entropy", "id"])
    chosen = frame[frame.groupby("cluster").cumcount() < frame["cluster"].map(quotas)]
    return chosen["id"].tolist()


def select_with_s5(folder: Path, target: int, method: str) -> list[str]:
    """The command behind `s5-hf curate select`."""
    from s5_hf.curation.prototypes import Prototypes
    from s5_hf.curation.score_table import ScoreFolder
    from s5_hf.curation.selection import SelectionSettings
    from s5_hf.curation.selection_folder import make_selection

    plain = {"minimum_contrast": None, "minimum_coherence": None, "duplicates": "keep"}
    settings = SelectionSettings(target=target, **(plain if method == "plain" else {}))
    prototypes = Prototypes.load(folder / "prototypes.safetensors")
    selection = make_selection(ScoreFolder.open(folder), folder / f"selection-{method}", settings, prototypes)
    return selection.chosen()["id"].to_pylist()


def print_own_figures(folder: Path, target: int, method: str) -> None:
    """Run one method and print its seconds, processor seconds, peak memory in GiB and a digest of what it chose."""
    import hashlib

    import s5_hf.curation.selection_folder  # noqa: F401 - imports are not what is measured

    start, processor_start = time.perf_counter(), time.process_time()
    chosen = select_with_pandas(folder, target) if method == "pandas" else select_with_s5(folder, target, method)
    seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor_start
    digest = hashlib.sha256("\n".join(sorted(chosen)).encode()).hexdigest()
    print(json.dumps([seconds, processor_seconds, peak_bytes() / 2**30, digest]))


def benchmark_select(arguments: argparse.Namespace) -> None:
    """Print seconds and memory of each method at each number of rows."""
    print_head("rows", "chosen", "method", "seconds", "against pandas", "processor seconds", "peak memory, GiB")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            scores, target = Path(folder, "scores"), rows // 10
            write_scores(scores, rows)
            figures = {method: own_figures(scores, target, method) for method in METHODS}
        if figures["pandas"] and figures["pandas"][3] != figures["plain"][3]:
            sys.exit(f"pandas and s5-hf chose different patches of {rows}")
        for method, name in METHODS.items():
            if figures[method] is None:
                print_row(f"{rows:,}", f"{target:,}", name, "out of memory", "", "", "")
                continue
            seconds, processor, peak, _ = figures[method]
            ratio = f"{figures['pandas'][0] / seconds:.1f} x" if figures["pandas"] else ""
            print_row(f"{rows:,}", f"{target:,}", name, f"{seconds:.1f}", ratio, f"{processor:.1f}", f"{peak:.2f}")


def own_figures(folder: Path, target: int, method: str) -> list | None:
    """The figures of a method in a process of its own; None where the system ended it for its memory."""
    try:
        return in_own_process(["select", "--folder", str(folder), "--target", str(target), "--of", method])
    except subprocess.CalledProcessError as error:
        if error.returncode == -9:
            return None
        raise


def parse_arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    scoring = commands.add_parser("score")
    scoring.add_argument("--size", default="s", help="ViT size: ti, s, b, l or h")
    scoring.add_argument("--image-size", type=int, default=256)
    scoring.add_argument("--images", type=int, default=48)
    scoring.add_argument("--batch-size", type=int, default=8)
    scoring.add_argument("--repeats", type=int, default=3)
    scoring.add_argument("--threads", type=int, default=4, help="that decode")
    scoring.add_argument("--device", default="cpu")
    scoring.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    selecting = commands.add_parser("select")
    selecting.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    selecting.add_argument("--folder", type=Path, help="for the made-up scores, by default the temporary folder")
    selecting.add_argument("--target", type=int, help=argparse.SUPPRESS)
    selecting.add_argument("--of", choices=METHODS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    if arguments.command == "score":
        benchmark_score(arguments)
    elif arguments.of:
        print_own_figures(arguments.folder, arguments.target, arguments.of)
    else:
        benchmark_select(arguments)


if __name__ == "__main__":
    main()
