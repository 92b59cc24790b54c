"""Images of grey roads on green ground with their graphs, for tests."""

import numpy as np

from s5_hf.dataset_builders.road_graph import RoadGraph
from s5_hf.roads.labels import road_rasters


def road_samples(count: int, size: int = 96) -> list[dict[str, object]]:
    """A crossing with a bend and an end each, at places that differ."""
    samples = []
    for index in range(count):
        rng = np.random.default_rng(index)
        x, y = rng.uniform(0.3 * size, 0.7 * size, 2)
        nodes = [[x, y], [0.0, y], [x, 0.0], [size - 1.0, y], [x + 6, size - 8.0], [x - 8, size - 4.0]]
        edges = [[0, 1], [0, 2], [0, 3], [0, 4], [4, 5]]
        roads = road_rasters(RoadGraph(nodes, edges), (0, 0, size, size))[1]
        image = np.where(roads[:, :, None], 150, (60, 110, 50)) + rng.normal(0, 8, (size, size, 3))
        image = np.clip(image, 0, 255).astype(np.uint8)
        samples.append({"id": f"tile-{index}", "image": image, "nodes": nodes, "edges": edges})
    return samples
