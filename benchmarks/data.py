"""How fast streaming is against a plain map-style dataset, and whether its memory grows with the data.

    python benchmarks/data.py                                  # images made up by the program
    python benchmarks/data.py --images PATH/TO/AERIAL/IMAGES   # crops of real images
    python benchmarks/data.py --rounds 40 --no-memory

Every row decodes the same 512 px images to RGB arrays in one process. The baseline is what a training script without
this package does: a `torch.utils.data.Dataset` that opens files with Pillow, read in order, or shuffled in batches by
a `DataLoader` without workers. In every round each way gets a process of its own and some images to warm up. Where
the buffers of an image happen to lie makes any way 15 % slower or faster, so their places are shifted all the time,
with the same random sizes for every way. The table holds the medians over the rounds, and the ratio of the fastest
processes, which is the steadiest number on a machine that others use too. Listing files and opening the dataset come
before the clock, for the baseline too. "Per core" counts the processor time of the reading process.
"""

import argparse
import io
import multiprocessing
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import datasets
import numpy as np
import torch
from datasets import load_dataset
from PIL import Image
from tqdm import tqdm

import s5_hf
from measuring import argument_parser, in_own_process, peak_bytes, print_head, print_row
from s5_hf.data import write_index, write_parquet_shards
from s5_hf.dataset_builders.streaming import ShuffledStream

SIDE = 512
TAR_SHARDS = 4
BATCH_SIZE = 16
WARM_UP = 128
PLACES = ("folder", "Parquet", "tar", "Parquet over http", "tar over http")
# Forked processes have everything imported and opened, and the address space of their parent.
CONTEXT = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
IN_ORDER, SHUFFLED = "in order: map-style dataset, Pillow", "shuffled: map-style dataset, Pillow, DataLoader"
MEMORY_COUNTS = (500, 2000, 8000, 32000)
FORMATS = {"jpg": {"format": "JPEG", "quality": 90}, "png": {"format": "PNG"}}


class FolderDataset(torch.utils.data.Dataset):
    """The baseline: image files of a folder, opened with Pillow."""

    def __init__(self, folder: Path):
        self.paths = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self.paths[index]) as image:
            return rgb_array(image)


class Baseline:
    """Reads the baseline in order."""

    def __init__(self, folder: Path):
        self.dataset = FolderDataset(folder / "images")

    def __iter__(self) -> Iterator[np.ndarray]:
        for index in range(len(self.dataset)):
            yield self.dataset[index]


class BaselineBatches:
    """The baseline as training reads it: shuffled, in batches, through a `DataLoader` of this process."""

    def __init__(self, folder: Path):
        self.loader = torch.utils.data.DataLoader(
            FolderDataset(folder / "images"), BATCH_SIZE, shuffle=True, collate_fn=list
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        for batch in self.loader:
            yield from batch


class InOrder:
    """What a user writes first: `load_dataset(..., streaming=True)`."""

    def __init__(self, data_dir: str):
        self.dataset = stream(data_dir)

    def __iter__(self) -> Iterator[np.ndarray]:
        for sample in self.dataset:
            yield to_array(sample)


class Shuffled:
    """The shuffled, resumable stream that training reads; every pass is the next epoch."""

    def __init__(self, data_dir: str):
        self.stream = ShuffledStream(stream(data_dir), batch_size=BATCH_SIZE, transform=to_array)

    def __iter__(self) -> Iterator[np.ndarray]:
        for batch in self.stream:
            yield from batch


def rgb_array(image: Image.Image) -> np.ndarray:
    """Without the copy that `convert` makes of an image that is RGB already; the baseline is spared it too."""
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def to_array(sample: dict) -> np.ndarray:
    """Takes the image out of the sample: as in the baseline, none is kept in the caches while the next is decoded."""
    return rgb_array(sample.pop("image"))


def stream(data_dir: str) -> datasets.IterableDataset:
    return load_dataset("rs4p-1m", data_dir=data_dir, split="train", streaming=True)


def source_images(folder: Path | None) -> Iterator[Image.Image]:
    """Endless 512 px crops of the images below a folder, or made-up ones as smooth as aerial photographs."""
    if folder is not None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif"))
        large = []
        for path in paths:
            with Image.open(path) as image:
                if image.mode == "RGB" and min(image.size) >= SIDE:
                    large.append(path)
        if not large:
            raise SystemExit(f"{folder} holds no RGB images of at least {SIDE} px")
        while True:
            for path in large:
                yield Image.open(path).crop((0, 0, SIDE, SIDE))
    generator = np.random.default_rng(0)
    while True:
        coarse = Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        fine = generator.normal(0, 6, (SIDE, SIDE, 3))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        yield Image.fromarray((smooth + fine).clip(0, 255).astype(np.uint8))


def write_folder(folder: Path, count: int, encoding: str, images: Iterator[Image.Image]) -> Path:
    """The release's layout, `images/NAME`."""
    (folder / "images").mkdir(parents=True)
    for number in range(count):
        next(images).save(folder / "images" / f"{number:06d}.{encoding}", **FORMATS[encoding])
    return folder


def write_tars(source: Path, folder: Path) -> Path:
    folder.mkdir()
    paths = sorted((source / "images").iterdir())
    size = -(-len(paths) // TAR_SHARDS)
    for shard in range(TAR_SHARDS):
        with tarfile.open(folder / f"train-{shard:05d}.tar", "w") as archive:
            for path in paths[shard * size : (shard + 1) * size]:
                archive.add(path, path.name)
    write_index(folder)
    return folder


def write_parquet(source: Path, folder: Path) -> Path:
    total = sum(path.stat().st_size for path in (source / "images").iterdir())
    write_parquet_shards(stream(str(source)), folder, shard_bytes=-(-total // 4))
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves byte ranges, as web servers for data do and Python's own does not."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def send_head(self):
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if wanted is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1 if last else size, size)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        with path.open("rb") as file:
            file.seek(start)
            return io.BytesIO(file.read(stop - start))


class QuietServer(ThreadingHTTPServer):
    """Says nothing about clients that leave in the middle of an answer."""

    def handle_error(self, request, client_address) -> None:
        pass


def serve(folder: Path) -> None:
    """Serve a folder on a free port of the loopback and print the port; the benchmark starts this as a process."""
    server = QuietServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    print(server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


def seconds_per_image(arrays: Iterable[np.ndarray], count: int, seed: int) -> tuple[float, float]:
    """Seconds on the clock and of the processor that a pass over `count` images takes for each."""
    sizes = np.random.default_rng(seed).integers(1 << 8, 1 << 18, count).tolist()
    shifting = [b""] * 32
    clock, processor = time.perf_counter(), time.process_time()
    read = 0
    for array in islice(iter(arrays), count):
        # Moves the places of the next buffers; costs some microseconds, the same for all.
        shifting[read % len(shifting)] = bytes(sizes[read])
        read += array.shape == (SIDE, SIDE, 3)
    if read != count:
        raise RuntimeError(f"{read} images of {SIDE} px were read, expected {count}")
    return (time.perf_counter() - clock) / count, (time.process_time() - processor) / count


def measure_in_process(arrays: Iterable[np.ndarray], count: int, seed: int, answer: Connection) -> None:
    """Measure in this process after some images to warm up."""
    seconds_per_image(arrays, min(count, WARM_UP), seed)
    answer.send(seconds_per_image(arrays, count, seed))


def measure_speed(
    folder: Path, encoding: str, count: int, rounds: int, kinds: list[str], images: Iterator[Image.Image]
) -> None:
    files = write_folder(folder / f"files-{encoding}", count, encoding, images)
    parquet = write_parquet(files, folder / f"parquet-{encoding}")
    tars = write_tars(files, folder / f"tar-{encoding}")
    command = [sys.executable, __file__, "--serve", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        places = {
            "folder": str(files),
            "Parquet": str(parquet),
            "tar": str(tars),
            "Parquet over http": f"{address}/{parquet.name}",
            "tar over http": f"{address}/{tars.name}",
        }
        places = {name: place for name, place in places.items() if name in kinds}
        ways: dict[str, Iterable[np.ndarray]] = {
            IN_ORDER: Baseline(files),
            **{f"in order: stream, {name}": InOrder(place) for name, place in places.items()},
            SHUFFLED: BaselineBatches(files),
            **{f"shuffled: stream, {name}": Shuffled(place) for name, place in places.items()},
        }
        seconds = {name: [] for name in ways}
        for round_number in tqdm(range(rounds), desc=encoding):
            for name, arrays in ways.items():
                receiver, sender = CONTEXT.Pipe(duplex=False)
                process = CONTEXT.Process(target=measure_in_process, args=(arrays, count, round_number, sender))
                process.start()
                sender.close()
                seconds[name].append(receiver.recv())
                process.join()
        server.stdin.close()
    for name, measured in seconds.items():
        baseline = seconds[IN_ORDER if name.startswith("in order") else SHUFFLED]
        clock, processor = np.median(measured, axis=0)
        clock_ratio, processor_ratio = np.median(baseline, axis=0) / (clock, processor)
        best_ratio = np.min(baseline, axis=0)[1] / np.min(measured, axis=0)[1]
        rates = (f"{1 / clock:.1f}", f"{clock_ratio:.2f}", f"{1 / processor:.1f}", f"{processor_ratio:.2f}")
        print_row(encoding, name, *rates, f"{best_ratio:.2f}")


def measure_memory(folder: Path, kinds: list[str], images: Iterator[Image.Image]) -> None:
    """Peak memory of a process that streams a dataset, for datasets of several sizes."""
    seed = write_folder(folder / "memory-source", MEMORY_COUNTS[0], "jpg", images)
    contents = [path.read_bytes() for path in sorted((seed / "images").iterdir())]
    for count in MEMORY_COUNTS:
        files = folder / f"memory-files-{count}"
        (files / "images").mkdir(parents=True)
        for number in range(count):
            (files / "images" / f"{number:06d}.jpg").write_bytes(contents[number % len(contents)])
        places = {
            "folder": files,
            "Parquet": write_parquet(files, folder / f"memory-parquet-{count}"),
            "tar": write_tars(files, folder / f"memory-tar-{count}"),
        }
        for name, place in places.items():
            if name not in kinds:
                continue
            for kind in ("stream", "shuffled"):
                peak = in_own_process(["--peak", kind, str(place)])
                size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
                print_row(f"{name}, {kind}", str(count), f"{size / 1e6:.0f}", f"{peak / 2**20:.0f}")


def print_peak(kind: str, place: str) -> None:
    """Read everything once and print the peak of this process's memory in bytes."""
    for _ in Shuffled(place) if kind == "shuffled" else InOrder(place):
        pass
    print(peak_bytes())


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--images", type=Path, help="folder with RGB images of at least 512 px")
    parser.add_argument("--count", type=int, default=1024, help="images per measurement; of PNG, a quarter")
    parser.add_argument("--rounds", type=int, default=15, help="processes for each way")
    parser.add_argument("--places", nargs="+", choices=PLACES, default=list(PLACES), help="where streams come from")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_num_threads(1)
    if arguments.serve:
        serve(arguments.serve)
        return
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    images = source_images(arguments.images)
    with tempfile.TemporaryDirectory() as name:
        if not arguments.no_speed:
            count, rounds = f"{arguments.count} images of {SIDE} px (of PNG a quarter)", f"{arguments.rounds} rounds"
            print(f"s5_hf {s5_hf.__version__}, {count}, {rounds}\n")
            print_head("format", "way", "images/s", "ratio", "images/s per core", "ratio", "of the fastest")
            for encoding in arguments.formats:
                count = arguments.count if encoding == "jpg" else max(1, arguments.count // 4)
                measure_speed(Path(name), encoding, count, arguments.rounds, arguments.places, images)
        if not arguments.no_memory:
            print()
            print_head("peak memory", "samples", "dataset in MB", "peak in MB")
            measure_memory(Path(name), arguments.places, images)


def keep_freed_memory() -> None:
    """Start again with an allocator that keeps what is freed.

    As it comes, glibc gives the memory of one image back and asks for that of the next, or does not, depending on the
    order in which a way allocates: that moves every row by up to a third, the baseline's too.
    """
    settings = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**30)}
    if sys.platform == "linux" and not settings.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **settings})


if __name__ == "__main__":
    keep_freed_memory()
    main()
