"""Changes of named classes in scenes of any size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ..imaging.scene_files import scene_stem
from ..scenes.pair_looks import PairLook, looking_alike
from ..scenes.reading import SceneReading
from ..scenes.registration import aligned
from ..scenes.scene_pairs import ScenePair, open_pair
from ..scenes.scene_run import finished_work_kept, require_absent, require_distinct
from ..scenes.segmentation.areas import ClassArea
from ..scenes.segmentation.scene_result import MapProducts, SceneFiles
from ..scenes.source import has_rasterio
from ..scenes.window_grid import WindowGrid
from .change_files import ChangeMaps, ObjectLayer, polygon_layer
from .object_merging import ChangedObject, merge_objects, objects_of_window
from .search import SearchChanges
from .window_journal import WindowJournal

__all__ = ["SceneChanges", "find_scene_changes"]


@dataclass(frozen=True)
class SceneChanges:
    """What `find_scene_changes` made.

    Attributes:
        maps: the map of each class by its name.
        areas: what each value of a map covers, by class.
        objects: how many objects came or went, by class.
        polygons: the file of polygons, or None.
        notes: what the user should know, a sentence each.
    """

    maps: dict[str, Path]
    areas: dict[str, list[ClassArea]]
    objects: dict[str, int]
    polygons: Path | None
    notes: list[str] = field(default_factory=list)


def find_scene_changes(
    search: SearchChanges,
    before: str | Path,
    after: str | Path,
    output: str | Path,
    *,
    name: str = "",
    window: int = 1024,
    overlap: float = 0.25,
    reading: SceneReading | None = None,
    polygons: str | None = None,
    dates: tuple[str, str] = ("", ""),
    align: bool = False,
    look: PairLook | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
) -> SceneChanges:
    """Find what changed between two scenes of one place.

    The scenes are searched window by window; an object that several windows show becomes one. Memory grows with the
    width of the scenes times the height of a window, and with the objects of two rows of windows. What windows found
    is kept beside the output until all is written.

    Args:
        search: such as `MaskCompareIdentify`.
        before, after: as `open_pair` takes them.
        output: folder of the maps, one per class: 0 unchanged, 1 came, 2 gone, 255 without data at either date.
        name: of the search and its settings: a resumed run must have the same one.
        window: side in pixels.
        overlap: share of a window that the next one covers again, 0 to 0.9.
        reading: how the scenes are read.
        polygons: `.geojson` or `.gpkg` to write the objects too.
        dates: of the scenes, for the polygons.
        align: move the later scene back where the whole of it is shifted against the earlier one. Without it a shift
            of half a pixel or more is reported.
        look: gives the later scene the look of the earlier one.
        resume: continue an interrupted run.
        overwrite: replace existing files.
        report: takes what the user should know, a line at a time.

    Raises:
        FileExistsError: a file exists already, and neither `resume` nor `overwrite` is set.
        FileNotFoundError, ImportError, OSError: a file is not there, cannot be read, or needs the extra `geo`.
        ValueError: as `open_pair`, or an option is out of range.
    """
    if window < 1 or not 0 <= overlap <= 0.9:
        raise ValueError(f"expected a window of at least 1 pixel and an overlap of 0 to 0.9, got {window}, {overlap}")
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        report(line)

    files = _class_files(Path(output), after, search.labels, polygons)
    made = [path for of_class in files.values() for path in of_class.paths()]
    layer = Path(output) / f"{scene_stem(after)}_changes{polygons}" if polygons else None
    made += [layer] if layer else []
    require_distinct({str(before): [], str(after): made})
    if not overwrite:
        require_absent(made)
    work = Path(output) / f".{scene_stem(after)}_changes.partial"
    if overwrite and not resume:
        shutil.rmtree(work, ignore_errors=True)
    with open_pair(before, after, reading, note) as opened, ExitStack() as of_pair:
        pair = of_pair.enter_context(looking_alike(aligned(opened, align, note), look, work, resume, overwrite, note))
        grid = _grid(pair, window, overlap)
        settings = [pair.fingerprint, name, list(search.labels), window, overlap]
        journal = WindowJournal(work, json.dumps(settings), resume)
        with finished_work_kept(work, "windows", report):
            _search_windows(search, pair, grid, journal)
            maps = ChangeMaps(work, pair, list(files))
            counts = dict.fromkeys(files, 0)
            with ExitStack() as stack:
                objects = stack.enter_context(polygon_layer(layer, pair.before, dates))
                for changed in _merged_objects(pair, grid, journal, maps):
                    _enter(changed, maps, objects, search.labels, counts)
            areas = maps.write(files, search.labels, name)
        journal.remove()
    labels = search.labels
    return SceneChanges(
        {labels[key]: of_class.classes for key, of_class in files.items()},
        {labels[key]: table for key, table in areas.items()},
        {labels[key]: count for key, count in counts.items()},
        layer,
        notes,
    )


def _class_files(
    output: Path, after: str | Path, labels: Sequence[str], polygons: str | None
) -> dict[int, SceneFiles]:
    """The files of the map of each class but the background."""
    if polygons not in (None, ".geojson", ".gpkg"):
        raise ValueError(f"polygons are written as .geojson or .gpkg, got {polygons!r}")
    if output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file, expected a folder for the maps")
    suffix = "tif" if has_rasterio() else "png"
    stem = scene_stem(after)
    return {
        class_id: SceneFiles.named(output / f"{stem}_{_file_name(label)}_change.{suffix}", MapProducts())
        for class_id, label in enumerate(labels)
        if class_id
    }


def _file_name(label: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in label)


def _grid(pair: ScenePair, window: int, overlap: float) -> WindowGrid:
    """Windows that lie on the scene; a scene that is smaller has a single one of its own size."""
    sides = tuple(min(window, side) for side in (pair.before.height, pair.before.width))
    stride = tuple(max(1, round(side * (1 - overlap))) for side in sides)
    return WindowGrid.over(pair.before.height, pair.before.width, sides, stride)


def _search_windows(search: SearchChanges, pair: ScenePair, grid: WindowGrid, journal: WindowJournal) -> None:
    """Search the windows that hold data at both dates and are not finished yet."""
    columns = len(grid.lefts)
    todo = [index for index in range(len(grid)) if not journal.has(index)]
    with tqdm(total=len(grid), initial=len(grid) - len(todo), desc="changes", unit="window", disable=None) as bar:
        for row, top in enumerate(grid.tops):
            here = [index for index in todo if index // columns == row]
            if not here:
                continue
            rows = pair.read_rows(top, top + grid.window_height)
            for index in here:
                part = rows.columns(grid[index])
                if part.valid.any():
                    journal.add(index, search.find(part.before, part.after))
                bar.update()


def _merged_objects(
    pair: ScenePair, grid: WindowGrid, journal: WindowJournal, maps: ChangeMaps
) -> Iterator[ChangedObject]:
    """The objects of all windows, each once; on the way the maps learn which pixels hold data."""
    columns = len(grid.lefts)
    waiting: list[ChangedObject] = []
    for row, top in enumerate(grid.tops):
        valid = pair.read_rows(top, top + grid.window_height).valid
        maps.set_rows(top, valid)
        for index in range(row * columns, (row + 1) * columns):
            window = grid[index]
            if journal.has(index):
                waiting += objects_of_window(journal.changes(index), window, valid[:, window.left : window.right])
        next_top = grid.tops[row + 1] if row + 1 < len(grid.tops) else None
        finished, waiting = merge_objects(waiting, next_top)
        yield from finished


def _enter(
    changed: ChangedObject,
    maps: ChangeMaps,
    objects: ObjectLayer | None,
    labels: Sequence[str],
    counts: dict[int, int],
) -> None:
    """Put an object into the maps, the file of polygons and the counts."""
    maps.paint(changed)
    if objects is not None:
        objects.write(changed, labels)
    for class_id in {changed.class_before, changed.class_after} & set(counts):
        counts[class_id] += 1
