"""`prepare_scenes`: one call from scenes and labels to tiles that training reads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...dataset_builders.credentials import without_credentials
from ...dataset_builders.description import DESCRIPTION_FILE
from ...imaging.scene_files import find_scenes
from ..manifest import MANIFEST_NAME, CutTile
from ..runner import cut_tiles, failures_message
from .cutter import SceneCutter, read_areas
from .description import describe_dataset, write_description
from .labels import open_labels
from .plan import SceneBlock, plan_blocks
from .prepared import PartCount, PreparedScenes
from .report import REPORT_FILE, write_report
from .scene_info import describe_scenes
from .settings import PARTS, LabelSettings, SplitSettings, TileSettings
from .vector_labels import check_areas

__all__ = ["prepare_scenes"]


def prepare_scenes(
    scenes: str | Path | Sequence[str | Path],
    labels: str | Path | Sequence[str | Path],
    output: str | Path,
    label_settings: LabelSettings,
    tile_settings: TileSettings | None = None,
    split_settings: SplitSettings | None = None,
    areas: str | Path | None = None,
    workers: int | None = None,
) -> PreparedScenes:
    """Cut scenes with polygons or rasters of classes into tiles for training, validation and test.

    Writes `{train,val,test}/images` and `masks` as GeoTIFFs, `dataset.json` with classes, bands and settings, and
    `report.html`. Everything is checked before anything is written. Tiles are cut in parallel and recorded, so that
    the same call resumes after a stop. A script with several workers needs `if __name__ == "__main__":`.

    Args:
        scenes: files, folders, patterns, or URLs of what rasterio opens; all with the same bands.
        labels: a file of polygons (GeoPackage, GeoJSON, Shapefile ...) or rasters of class values (as `scenes`).
        output: folder for the tiles: a new one, or that of the same call.
        label_settings: how labels become classes.
        tile_settings: side, overlap and bands of tiles.
        split_settings: what is for training, validation and test.
        areas: file of polygons outside of which nothing counts as labelled, and no tile is made.
        workers: processes; as many as the machine has cores if left out.

    Raises:
        FileExistsError: `output` holds something else.
        FileNotFoundError, ImportError, OSError: something cannot be found, imported or read.
        ValueError: settings, scenes and labels that do not fit together; the message names them. Or tiles that could
            not be cut (names each; the others are finished).
    """
    _require_geo()
    tiles, split = tile_settings or TileSettings(), split_settings or SplitSettings()
    folder = Path(output)
    _require_own_folder(folder)
    if workers is not None and workers < 1:
        raise ValueError(f"At least 1 worker is needed, got {workers}.")
    paths = find_scenes([scenes] if isinstance(scenes, (str, Path)) else list(scenes))
    found, warnings = describe_scenes(paths, tiles.bands, tiles.nodata)
    opened, more = open_labels(labels, label_settings, found)
    warnings += more
    interest = None if areas is None else read_areas(str(areas))
    if interest is not None:
        warnings += check_areas(interest, found)
    blocks, more = plan_blocks(found, opened, len(label_settings.names), interest, tiles, split)
    warnings += more
    cutter = SceneCutter(
        opened,
        None if areas is None else str(areas),
        label_settings,
        tiles,
        split,
        tuple(scene.identity() for scene in found),
    )
    cut, failures, skipped = cut_tiles(cutter, blocks, folder, workers or os.cpu_count() or 1)
    if failures:
        raise ValueError(failures_message(failures, len(blocks)))
    parts = _count(blocks, cut, label_settings.names)
    warnings += _warnings_on(parts, split, sum(tile.overlapping for tile in cut.values()))
    result = PreparedScenes(folder, label_settings.names, parts, skipped, tuple(warnings))
    sources = {"labels": _texts(labels), "areas": None if areas is None else str(areas)}
    counts = {p.part: {"tiles": p.tiles, "class_pixels": p.class_pixels, "ignored": p.ignored} for p in parts}
    description = describe_dataset(found, (label_settings, tiles, split), sources, counts)
    write_report(folder / REPORT_FILE, result, description, found, blocks, cut)
    write_description(folder, description)  # last: it says that everything is there
    return result


def _require_geo() -> None:
    if missing := [package for package in ("rasterio", "shapely", "pyogrio") if find_spec(package) is None]:
        raise ImportError(f'scenes and polygons need {", ".join(missing)}. Install with: pip install "s5_hf[geo]"')


def _require_own_folder(folder: Path) -> None:
    """Raise a FileExistsError if a folder holds anything, unless a preparation of scenes began there."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; expected the name of a folder for the tiles")
    known = (MANIFEST_NAME, DESCRIPTION_FILE)
    visible = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
    if visible and not any(name in visible for name in known):
        raise FileExistsError(f"{folder} holds other files, such as {visible[0]}; choose a new or empty folder")


def _texts(places: str | Path | Sequence[str | Path]) -> str | list[str]:
    texts = str(places) if isinstance(places, (str, Path)) else [str(place) for place in places]
    return without_credentials(texts)


def _count(blocks: Sequence[SceneBlock], cut: dict, names: Sequence[str]) -> tuple[PartCount, ...]:
    """Counts of the parts that have tiles."""
    parts = []
    for part in PARTS:
        of_part: list[CutTile] = [cut[block] for block in blocks if block.split == part]
        pixels = [sum(column) for column in zip(*(tile.class_pixels for tile in of_part), strict=True)]
        tiles = sum(tile.crops for tile in of_part)
        if tiles:
            by_name = dict(zip(names, pixels, strict=False))
            parts.append(PartCount(part, tiles, sum(tile.empty for tile in of_part), by_name, pixels[-1]))
    return tuple(parts)


def _warnings_on(parts: Sequence[PartCount], split: SplitSettings, overlapping: int) -> list[str]:
    """What the finished tiles show: parts without tiles, classes that a part lacks, polygons over one another."""
    present = {count.part for count in parts}
    wanted = {part for part, share in split.shares().items() if share > 0}
    wanted |= {"val"} if split.val_scenes else set()
    wanted |= {"test"} if split.test_scenes else set()
    warnings = [f"the part {part} has no tile with a label" for part in PARTS if part in wanted - present]
    for count in parts:
        missing = [name for name, pixels in count.class_pixels.items() if pixels == 0]
        elsewhere = [name for name in missing if any(other.class_pixels[name] for other in parts)]
        if elsewhere:
            warnings.append(f"the part {count.part} has no pixel of: {', '.join(elsewhere)}")
    if overlapping:
        total = sum(sum(count.class_pixels.values()) + count.ignored for count in parts)
        warnings.append(
            f"polygons of several classes lie over one another in {overlapping:,} pixels ({overlapping / total:.2%}); "
            "the priority of the classes decides, and after it the order of the file"
        )
    return warnings
