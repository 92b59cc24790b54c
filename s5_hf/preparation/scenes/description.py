"""`dataset.json`: what a folder of tiles holds, for training, evaluation and prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...dataset_builders.credentials import without_credentials
from ...dataset_builders.description import DESCRIPTION_FILE
from ...files.atomic import write_text
from ...imaging.natural_colors import natural_palette
from .scene_info import SceneInfo
from .settings import IGNORE_INDEX, LabelSettings, SplitSettings, TileSettings, as_json

__all__ = ["describe_dataset", "write_description"]

_FORMAT = "s5_hf dataset 1"


def describe_dataset(
    scenes: Sequence[SceneInfo],
    settings: tuple[LabelSettings, TileSettings, SplitSettings],
    sources: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What the file says.

    Args:
        scenes: all scenes.
        settings: what the user decided.
        sources: `labels` and `areas`, as given.
        parts: counts of each part.
    """
    first = scenes[0]
    labels, tiles, split = settings
    crs = list(dict.fromkeys(scene.crs for scene in scenes))
    sides = [float(np.sqrt(abs(scene.transform.determinant))) for scene in scenes]
    return {
        "format": _FORMAT,
        "dataset": "s5-image-mask",
        "classes": list(labels.names),
        "ignore_index": IGNORE_INDEX,
        "colors": [list(color) for color in natural_palette(labels.names)],
        "bands": list(first.band_names),
        "num_channels": len(first.bands),
        "dtype": first.dtype,
        "nodata": first.nodata if first.nodata is None or np.isfinite(first.nodata) else str(first.nodata),
        "crs": crs[0] if len(crs) == 1 else crs,
        "pixel_side": sides[0] if len(set(sides)) == 1 else sides,
        "tile_size": tiles.size,
        "overlap": tiles.overlap,
        "splits": {part: dict(counts) for part, counts in parts.items()},
        "scenes": [without_credentials(scene.path) for scene in scenes],
        **sources,
        "settings": {"labels": as_json(labels), "tiles": as_json(tiles), "split": as_json(split)},
    }


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the file into the folder, whole or not at all."""
    write_text(folder / DESCRIPTION_FILE, json.dumps(description, indent=2, ensure_ascii=False) + "\n")
