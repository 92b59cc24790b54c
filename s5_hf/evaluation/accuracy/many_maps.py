"""Several maps against one reference: their counts are added up, as those of one large map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...preparation.scenes.settings import LabelsElsewhereError
from ...scenes.class_maps import sidecar_path
from .points import is_point_file
from .report import AccuracyResult

__all__ = ["assess_folder", "maps_in"]

ERRORS = "errors"
"""Folder of the maps of errors."""
_MAP_SUFFIXES = (".tif", ".png")


def maps_in(folder: str | Path) -> list[Path]:
    """The class maps in a folder: images with the sidecar that `s5-hf predict` writes.

    Raises:
        FileNotFoundError: if there is none.
    """
    images = (path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in _MAP_SUFFIXES)
    found = [path for path in images if sidecar_path(path).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no map of s5-hf predict (NAME.tif or NAME.png with NAME.json); give the file of a map"
        )
    return found


def assess_folder(
    folder: str | Path,
    places: Sequence[str | Path],
    output: str | Path | None,
    assess: Callable[[Path, Path | None], AccuracyResult],
) -> AccuracyResult:
    """Compare every map of a folder; those that have no ground in common with the reference are left out.

    Args:
        folder: of the maps.
        places: the reference.
        output: folder for the maps of errors, in `errors/`; None for none.
        assess: compares one map, and writes its map of errors to a path.

    Raises:
        FileNotFoundError: as `maps_in`.
        ValueError: points, maps of different classes, a reference that lies on no map, or as `assess`.
    """
    if len(places) == 1 and is_point_file(places[0]):
        raise ValueError(
            f"{places[0]} holds points, a sample of one map, but {folder} is a folder of maps: join them first "
            "(s5-hf mosaic)"
        )
    found: list[AccuracyResult] = []
    elsewhere: list[str] = []
    maps = maps_in(folder)
    for path in maps:
        try:
            found.append(assess(path, None if output is None else Path(output) / ERRORS / f"{path.stem}.tif"))
        except LabelsElsewhereError:
            elsewhere.append(path.name)
    if not found:
        raise ValueError(f"the reference has no ground in common with any of the {len(maps)} maps in {folder}")
    for result in found[1:]:
        if result.classes != found[0].classes:
            raise ValueError(
                f"{result.map} has the classes {', '.join(result.classes)}, {found[0].map} has "
                f"{', '.join(found[0].classes)}; maps that are assessed together have the same"
            )
    notes = [f"the reference has no ground in common with {', '.join(elsewhere)}"] if elsewhere else []
    areas = [result.square_metres for result in found]
    return replace(
        found[0],
        map=str(folder),
        counts=sum(result.counts for result in found),
        mapped_pixels=sum(result.mapped_pixels for result in found),
        square_metres=None if None in areas else sum(areas),
        warnings=tuple(dict.fromkeys([*notes, *(text for result in found for text in of_all(result, found))])),
        errors=None if output is None else Path(output) / ERRORS,
    )


def of_all(result: AccuracyResult, found: Sequence[AccuracyResult]) -> list[str]:
    """The warnings of a map; rasters that lie on another one are no matter."""
    return [text for text in result.warnings if len(found) == 1 or "lie on no scene" not in text]
