"""Cut many tiles in parallel, each once: a tile's files appear when they are complete, and a stopped run goes on."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from s5_hf.processes import worker_pool

from .manifest import MANIFEST_NAME, CutTile, Manifest, RawTile

__all__ = ["FoundTiles", "Recipe", "TileFailure", "cut_tiles"]

_PARTIAL_FOLDER = ".partial"
# Tiles handed to the pool ahead of time, per worker: keeps workers busy and a million tiles out of memory.
_TILES_AHEAD = 2


@dataclass(frozen=True)
class FoundTiles:
    """The tiles of a dataset below a folder.

    Attributes:
        tiles: what to cut.
        notes: what a user should know, such as tiles of the official split that are not there.
    """

    tiles: tuple[RawTile, ...]
    notes: tuple[str, ...] = ()


class Recipe(Protocol):
    """How the tiles of one dataset are found and cut. Recipes travel to worker processes, so they are plain data."""

    def settings(self) -> dict[str, Any]:
        """Everything that decides what the crops are, as JSON values."""
        ...

    def find_tiles(self, raw: Path) -> FoundTiles:
        """The tiles below `raw`.

        Raises:
            FileNotFoundError: there are none (names what was looked for), or a tile has no label.
        """
        ...

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        """Write the crops of one tile below `folder`, labels before the images they belong to in `files`."""
        ...


@dataclass(frozen=True)
class TileFailure:
    """A tile that could not be cut, and why."""

    tile: RawTile
    message: str


@dataclass(frozen=True)
class _Outcome:
    tile: RawTile
    sources: list[list[Any]]
    cut: CutTile | None
    message: str = ""


def cut_tiles(
    recipe: Recipe, tiles: Sequence[RawTile], out: Path, workers: int
) -> tuple[dict[RawTile, CutTile], list[TileFailure], int]:
    """Cut all tiles that are not finished yet.

    With one worker the work runs in this process, else in `workers` new ones. Ctrl-C waits for the tiles in work,
    records them and then raises `KeyboardInterrupt`.

    Returns:
        What became of each finished tile, the tiles that failed, and how many an earlier run had finished.

    Raises:
        ValueError: `out` holds a preparation with other settings.
        RuntimeError: a worker process died, for want of memory as a rule.
    """
    manifest = Manifest(out, recipe.settings())
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / _PARTIAL_FOLDER, ignore_errors=True)
    present = _files_below(out)
    finished = {tile: cut for tile in tiles if (cut := manifest.finished(tile, present)) is not None}
    skipped = len(finished)
    waiting = [tile for tile in tiles if tile not in finished]
    for tile in waiting:
        for file in manifest.earlier_files(tile):
            (out / file).unlink(missing_ok=True)

    failures: list[TileFailure] = []
    try:
        with tqdm(total=len(tiles), initial=skipped, unit="tile", desc="preparing") as progress:
            for outcome in _outcomes(recipe, waiting, out, workers):
                if outcome.cut is None:
                    failures.append(TileFailure(outcome.tile, outcome.message))
                else:
                    manifest.add(outcome.tile, outcome.sources, outcome.cut)
                    finished[outcome.tile] = outcome.cut
                progress.update()
    finally:
        shutil.rmtree(out / _PARTIAL_FOLDER, ignore_errors=True)
    return finished, failures, skipped


def _files_below(out: Path) -> frozenset[str]:
    """All files below the output folder, relative, with `/` between the parts."""
    found = []
    for folder, _, names in os.walk(out):
        relative = Path(folder).relative_to(out)
        found.extend((relative / name).as_posix() for name in names if name != MANIFEST_NAME)
    return frozenset(found)


def _outcomes(recipe: Recipe, tiles: list[RawTile], out: Path, workers: int) -> Iterator[_Outcome]:
    workers = min(workers, len(tiles))
    if workers <= 1:
        for tile in tiles:
            yield _cut_tile(recipe, tile, out)
        return
    with worker_pool(workers) as pool:
        coming = iter(tiles)
        running = {pool.submit(_cut_tile, recipe, tile, out) for tile in islice(coming, workers * _TILES_AHEAD)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_cut_tile, recipe, tile, out) for tile in islice(coming, len(done))}
                yield from (_result(future) for future in done)
        except KeyboardInterrupt:
            yield from _finish_running(running)
            raise


def _result(future: Future[_Outcome]) -> _Outcome:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "A worker process died, most likely because memory ran out. Finished tiles are kept: "
            "run the same command again with fewer --workers."
        ) from error


def _finish_running(running: set[Future[_Outcome]]) -> Iterator[_Outcome]:
    """Give up the tiles that wait, and hand on those in work when they are done."""
    tqdm.write("Stopping: tiles in work are being finished; the same command goes on from there.")
    started = [future for future in running if not future.cancel()]
    yield from (_result(future) for future in started)


def _cut_tile(recipe: Recipe, tile: RawTile, out: Path) -> _Outcome:
    """Cut one tile into a folder of its own, then move its files into place. Runs in a worker process."""
    sources = tile.sources()
    (out / _PARTIAL_FOLDER).mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out / _PARTIAL_FOLDER))
    try:
        cut = recipe.cut(tile, folder)
        for file in cut.files:
            target = out / file
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / file).replace(target)
    except (OSError, ValueError, ImportError) as error:
        return _Outcome(tile, sources, None, str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _Outcome(tile, sources, cut)
