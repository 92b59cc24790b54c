"""`assess_accuracy`: one call from a map and a reference to its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...preparation.scenes.settings import LabelSettings
from ...scenes.class_maps import ClassMap, open_class_map
from ...scenes.segmentation.areas import pixel_areas
from .comparison import compare_with_area
from .estimates import SampleEstimates, estimate_from_sample
from .many_maps import assess_folder
from .points import classes_under, is_point_file, read_points
from .report import AccuracyResult
from .sampling import count_classes

__all__ = ["ReferenceSettings", "assess_accuracy"]

_FEW_POINTS = 20


@dataclass(frozen=True)
class ReferenceSettings:
    """How a reference becomes classes of the map.

    Attributes:
        classes: classes of the map with the values of the reference that mean each; by default the values are the
            names (polygons, points) or the ids (rasters) of the classes.
        attribute: field of polygons or points that holds the class; of points `reference` if left out.
        layer: of a file of polygons with several layers.
        unlabelled: what lies in no polygon: "ignore" (not compared) or the name of a class.
        all_touched: whether a pixel belongs to a polygon that touches it; by default its centre must lie inside.
        ignore_unknown: whether polygons and pixels of no class of the map are left out, and not refused.
    """

    classes: Mapping[str, Sequence[str]] | None = None
    attribute: str | None = None
    layer: str | None = None
    unlabelled: str = "ignore"
    all_touched: bool = False
    ignore_unknown: bool = False


def assess_accuracy(
    map_path: str | Path,
    reference: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    settings: ReferenceSettings | None = None,
) -> AccuracyResult:
    """Compare a map with what is really there.

    Args:
        map_path: a class map, as `s5-hf predict` writes it or another program; or a folder of maps that the former
            has written, whose counts are added up.
        reference: a file of polygons or rasters, which are compared pixel by pixel; or a table of points (CSV, or a
            vector file of points) from `sample_points`, from which accuracy and areas of the whole map are estimated.
        output: folder for `accuracy.json`, `accuracy.md`, `confusion_matrix.png` and, for polygons and rasters,
            `errors.tif`, or for a folder of maps `errors/` with one for each; None to write nothing.
        settings: how the reference becomes classes.

    Raises:
        FileNotFoundError, ImportError, OSError: a file cannot be read.
        ValueError: classes that are not those of the map, or a reference that does not fit it.
    """
    settings = settings or ReferenceSettings()
    places = [reference] if isinstance(reference, (str, Path)) else list(reference)
    if missing := [place for place in places if not Path(place).exists() and "*" not in str(place)]:
        raise FileNotFoundError(f"there is no reference {missing[0]}")
    if Path(map_path).is_dir():
        result = assess_folder(map_path, places, output, lambda path, errors: _assess(path, places, errors, settings))
    else:
        result = _assess(map_path, places, None if output is None else Path(output) / "errors.tif", settings)
    if output is not None:
        result.write(output)
    return result


def _assess(
    map_path: str | Path, places: Sequence[str | Path], errors: Path | None, settings: ReferenceSettings
) -> AccuracyResult:
    """The accuracy of one map; nothing is written but the map of errors."""
    with open_class_map(map_path) as class_map:
        pixels = count_classes(class_map)
        if not pixels:
            raise ValueError(f"{map_path} holds no class, only pixels without data")
        classes = _classes(class_map, pixels, settings.classes)
        mapped = np.array([pixels.get(class_id, 0) for class_id in range(len(classes))])
        if len(places) == 1 and is_point_file(places[0]):
            errors = None
            counts, estimates, warnings = _compare_with_points(class_map, places[0], classes, settings, mapped)
        else:
            estimates = None
            labels = LabelSettings(
                classes, settings.attribute, settings.layer, settings.unlabelled,
                all_touched=settings.all_touched, ignore_unknown=settings.ignore_unknown,
            )  # fmt: skip
            counts, warnings = compare_with_area(class_map, places, labels, errors)
        return AccuracyResult(
            str(map_path), tuple(map(str, places)), tuple(classes), counts, mapped, _ground(class_map),
            estimates, tuple(warnings), errors,
        )  # fmt: skip


def _classes(
    class_map: ClassMap, pixels: Mapping[int, int], given: Mapping[str, Sequence[str]] | None
) -> dict[str, list[str]]:
    """The values of the reference that mean each class of the map, in the order of the ids."""
    if given is not None and not class_map.id2label:
        class_map.set_labels(list(given))
    largest = max([*pixels, *class_map.id2label])
    names = [class_map.label_of(class_id) for class_id in range(largest + 1)]
    if unknown := [name for name in given or () if name not in names]:
        raise ValueError(f"{class_map.path} has no class {unknown[0]!r}; its classes: {', '.join(names)}")
    return {name: list((given or {}).get(name, [name])) for name in names}


def _compare_with_points(
    class_map: ClassMap,
    path: str | Path,
    classes: Mapping[str, Sequence[str]],
    settings: ReferenceSettings,
    mapped: np.ndarray,
) -> tuple[np.ndarray, SampleEstimates, list[str]]:
    """Counts, estimates and warnings from a table of points."""
    values = LabelSettings(dict(classes)).values()
    points = read_points(path, class_map, values, settings.attribute)
    under = classes_under(class_map, points.x, points.y)
    warnings = list(points.notes)
    outside = int((under < 0).sum())
    if outside == len(under):
        raise ValueError(f"no point of {path} lies on {class_map.path} where it holds data")
    if outside:
        warnings.append(f"{outside:,} of {len(under):,} points lie outside of the map or where it holds no data")
    size = len(classes)
    pairs = under[under >= 0] * size + points.class_ids[under >= 0]
    counts = np.bincount(pairs, minlength=size * size).reshape(size, size)
    names = list(classes)
    for index in np.flatnonzero(mapped > 0):
        number, share = counts[index].sum(), mapped[index] / mapped.sum()
        if number == 0:
            warnings.append(f"no point lies on {names[index]} ({share:.1%} of the map): the estimates leave it out")
        elif number < _FEW_POINTS:
            warnings.append(f"only {number} points lie on {names[index]}: its numbers are rough")
        elif counts[index].max() == number:
            # The rule of three: an error of 3/n is missed by n points with a chance of 5 %.
            warnings.append(
                f"all {number} points on {names[index]} are of one class: the formulas see no uncertainty there, and "
                f"yet up to about {3 / number:.1%} of it may be of others"
            )
    return counts, estimate_from_sample(counts, mapped), warnings


def _ground(class_map: ClassMap) -> float | None:
    """Square metres of all pixels that hold a class; None where the coordinates do not say."""
    areas = pixel_areas(class_map.crs, class_map.transform, class_map.height)
    if areas is None:
        return None
    total = 0.0
    for top, ids in class_map.bands(max(1, 2**22 // class_map.width)):
        held = np.ones(ids.shape, dtype=bool) if class_map.nodata is None else ids != class_map.nodata
        total += float(held.sum(axis=1) @ areas[top : top + len(ids)])
    return total
