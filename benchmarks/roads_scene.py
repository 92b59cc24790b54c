"""Roads of whole scenes: time per node and per megapixel, and memory, on generated streets.

Called by `python benchmarks/roads.py scene`. Baselines: for the time of the topology stage, asking the same network
about one node at a time; for keeping what a network has seen of a window on the disk, seeing the window again; for the
whole scene, the same pass of the network without a graph.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from s5_hf.modeling import S5ViTConfig, SamRoadConfig, SamRoadForRoadGraph
from s5_hf.predictors.normalization import normalize_pixels
from s5_hf.predictors.torch_road_network import TorchRoadNetwork
from s5_hf.roads.pair_votes import neighbor_pairs
from s5_hf.scenes.roads.road_journal import RoadJournal
from s5_hf.scenes.roads.road_settings import RoadSettings, road_grid
from s5_hf.scenes.roads.road_tracing import RoadTracer
from s5_hf.scenes.roads.window_spool import SeenWindow, WindowSpool
from s5_hf.scenes.window_batches import window_batches

BLOCK = 90  # pixels from street to street
WINDOW = 256


class Streets:
    """A scene of any size that is never in memory: streets every 90 pixels, both ways."""

    name, crs, transform, notes, fingerprint = "streets", None, None, (), "streets"
    bands = (1, 2, 3)

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, None]:
        y, x = np.mgrid[top:bottom, : self.width]
        pixels = np.zeros((3, bottom - top, self.width), dtype=np.uint8)
        noise = np.random.default_rng(top).integers(0, 20, y.shape, dtype=np.uint8)
        street_x, street_y = x % BLOCK < 4, y % BLOCK < 4
        pixels[0] = np.where(street_x | street_y, 220 + noise, noise)
        pixels[1] = np.where(street_x & street_y, 220 + noise, 0)
        return pixels, None


class ColorNetwork(TorchRoadNetwork):
    """The network with scores of streets, so that it is asked about as many nodes as in a town."""

    def look(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, features = super().look(pixel_values)
        return (pixel_values[:, [1, 0]] * 0.25 + 0.5).clamp(0, 1), features


def network(size: str) -> ColorNetwork:
    torch.manual_seed(0)
    config = SamRoadConfig(S5ViTConfig.from_size(size), topology_threshold=0.3)
    return ColorNetwork(SamRoadForRoadGraph(config))


def settings(traced: ColorNetwork) -> RoadSettings:
    return RoadSettings.chosen(traced.road_settings, window=WINDOW, batch_size=4, road_threshold=0.6)


def trace(scene: Streets, traced: ColorNetwork) -> dict[str, float]:
    """Seconds of the processor, nodes and edges of a scene."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(RoadJournal(Path(folder) / "work", "", scene.width, False)) as journal,
    ):
        windows = len(road_grid(scene.height, scene.width, settings(traced)))
        start = time.process_time()
        with tqdm(total=windows, desc=f"{scene.height} rows", disable=not sys.stderr.isatty()) as bar:
            tracer = RoadTracer(
                scene,
                traced,
                settings(traced),
                WindowSpool(journal.spool),
                journal,
                lambda done: bar.update(done - bar.n),
            )
            found = tracer.trace()
        seconds = time.process_time() - start
    return {"seconds": seconds, "nodes": len(found.nodes), "edges": len(found.edges), "windows": windows}


def network_alone(scene: Streets, traced: ColorNetwork) -> float:
    """Seconds of the processor for the same windows without a graph."""
    start = time.process_time()
    for batch in window_batches(scene, road_grid(scene.height, scene.width, settings(traced)), 4, 3):
        if batch.indices:
            traced.look(normalize_pixels(batch.pixels, traced))
    return time.process_time() - start


def topology(traced: ColorNetwork, nodes: int = 200, repeats: int = 3) -> dict[str, float]:
    """Milliseconds per node of the topology stage, all nodes of a window at once and one node at a time."""
    generator = np.random.default_rng(0)
    points = generator.integers(0, WINDOW, (nodes, 2))
    neighbours, valid = neighbor_pairs(points, 16, 64.0)
    scores, features = torch.rand(2, WINDOW, WINDOW), torch.rand(256, WINDOW // 16, WINDOW // 16)
    asked = torch.from_numpy(points).float(), torch.from_numpy(neighbours), torch.from_numpy(valid)
    times = {}
    for name, parts in (("together", [slice(0, nodes)]), ("one_by_one", [slice(k, k + 1) for k in range(nodes)])):
        best = float("inf")
        for _ in range(repeats):
            start = time.process_time()
            for part in parts:
                sources = torch.arange(nodes)[part, None].expand_as(asked[1][part])
                pairs = torch.stack([sources, asked[1][part]], dim=-1)
                traced.model.predict_connections(
                    features[None], scores[None], asked[0][None], pairs[None], asked[2][part][None]
                )
            best = min(best, time.process_time() - start)
        times[name] = 1000 * best / nodes
    return times


def spool_or_again(traced: ColorNetwork, repeats: int = 10) -> dict[str, float]:
    """Milliseconds per window: kept on the disk and read again, and seen by the network again."""
    pixels = torch.rand(1, 3, WINDOW, WINDOW)
    scores, features = traced.look(pixels)
    with tempfile.TemporaryDirectory() as folder:
        spool = WindowSpool(Path(folder))
        start = time.process_time()
        for index in range(repeats):
            spool.put(SeenWindow(index, 0, scores[0], features[0], None))
        for _ in range(repeats):
            spool.take()
        kept = time.process_time() - start
    start = time.process_time()
    for _ in range(repeats):
        traced.look(pixels)
    return {"spooled": 1000 * kept / repeats, "seen_again": 1000 * (time.process_time() - start) / repeats}


def peak_of(height: int, width: int, size: str) -> dict[str, float]:
    """Peak memory of a process of its own that traces a scene."""
    command = [sys.executable, __file__, str(height), str(width), size]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(width: int, heights: list[int], size: str) -> None:
    """Print everything as lines of JSON."""
    traced = network(size)
    print(json.dumps({"milliseconds per node": topology(traced)}))
    print(json.dumps({"milliseconds per window": spool_or_again(traced)}))
    scene = Streets(heights[0], width)
    megapixels = scene.height * scene.width / 1e6
    alone, whole = network_alone(scene, traced), trace(scene, traced)
    print(
        json.dumps(
            {"seconds per megapixel": {"graph": whole["seconds"] / megapixels, "network alone": alone / megapixels}}
        )
    )
    for height in heights:
        print(json.dumps({"rows": height, **peak_of(height, width, size)}), flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `python benchmarks/roads.py scene`."""
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--heights", type=int, nargs="+", default=[512, 4096])
    parser.add_argument("--size", default="ti", help="of the ViT")


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows, columns = map(int, sys.argv[1:3])
    result = trace(Streets(rows, columns), network(sys.argv[3]))
    result["peak_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result))
