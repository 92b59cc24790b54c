"""Cut many tiles in parallel, each once: a tile's files appear when they are complete, and a stopped run resumes."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tqdm import tqdm

from ..files.atomic import remove_leftovers, temporary_folder
from ..files.locks import LOCK_FILE, folder_lock
from ..files.processes import worker_pool
from ..imaging.value_scaling import Scaling
from .manifest import MANIFEST_NAME, CutTile, Manifest, RawTile

__all__ = ["Cutter", "FoundTiles", "TileCutter", "TileFailure", "cut_tiles", "failures_message"]

# Tiles handed to the pool ahead of time, per worker: keeps workers busy and a million tiles out of memory.
_TILES_AHEAD = 2


@dataclass(frozen=True)
class FoundTiles:
    """The tiles of a dataset below a folder.

    Attributes:
        tiles: what to cut.
        notes: what a user should know, such as missing tiles of the official split.
    """

    tiles: tuple[RawTile, ...]
    notes: tuple[str, ...] = ()


class Cutter(Protocol):
    """What `cut_tiles` needs to know: plain data that travels to worker processes."""

    def settings(self) -> dict[str, Any]:
        """Everything that decides what the crops are, as JSON values."""
        ...

    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        """Write the crops of one tile below `folder`, labels before the images they belong to in `files`."""
        ...


@dataclass(frozen=True, kw_only=True)
class TileCutter(ABC):
    """How the tiles of one dataset are found and cut. Cutters travel to worker processes, so they are plain data.

    Attributes:
        SETTINGS: the fields, besides `scaling`, that decide what the crops are.
        scaling: how images that are not 8-bit become so.
        bands: bands, counted from 1, that become red, green and blue.
    """

    SETTINGS: ClassVar[tuple[str, ...]]
    scaling: Scaling = field(default_factory=Scaling)
    bands: tuple[int, int, int] | None = None

    def settings(self) -> dict[str, Any]:
        """Everything that decides what the crops are, as JSON values."""
        return {**{name: getattr(self, name) for name in self.SETTINGS}, "scaling": asdict(self.scaling)}

    @abstractmethod
    def find_tiles(self, raw: Path) -> FoundTiles:
        """The tiles below `raw`.

        Raises:
            FileNotFoundError: there are none (names what was looked for), or a tile has no label.
        """

    @abstractmethod
    def cut(self, tile: RawTile, folder: Path) -> CutTile:
        """Write the crops of one tile below `folder`, labels before the images they belong to in `files`."""


@dataclass(frozen=True)
class TileFailure:
    """A tile that could not be cut, and why."""

    tile: RawTile
    message: str


_SHOWN_FAILURES = 20


def failures_message(failures: list[TileFailure], total: int) -> str:
    """What a user reads when tiles could not be cut: the first of them, and how many more."""
    shown = "\n".join(f"  {failure.message}" for failure in failures[:_SHOWN_FAILURES])
    more = f"\n  and {len(failures) - _SHOWN_FAILURES} more" if len(failures) > _SHOWN_FAILURES else ""
    return f"{len(failures)} of {total} tiles could not be cut, the others are finished:\n{shown}{more}"


@dataclass(frozen=True)
class _Outcome:
    tile: RawTile
    sources: list[list[Any]]
    cut: CutTile | None
    message: str = ""


def cut_tiles(
    cutter: Cutter, tiles: Sequence[RawTile], out: Path, workers: int
) -> tuple[dict[RawTile, CutTile], list[TileFailure], int]:
    """Cut all tiles that are not finished yet.

    With one worker the work runs in this process, else in `workers` new ones. Ctrl-C waits for the tiles in progress,
    records them and then raises `KeyboardInterrupt`.

    Returns:
        What became of each finished tile, the tiles that failed, and how many an earlier run had finished.

    Raises:
        ValueError: `out` holds a preparation with other settings.
        RuntimeError: a worker process died, usually for lack of memory.
        BlockingIOError: another run prepares the same folder.
    """
    with folder_lock(out):
        manifest = Manifest(out, cutter.settings())
        remove_leftovers(out)
        with temporary_folder(out / "crops") as partial:
            return _cut_unfinished(cutter, tiles, out, partial, workers, manifest)


def _cut_unfinished(
    cutter: Cutter, tiles: Sequence[RawTile], out: Path, partial: Path, workers: int, manifest: Manifest
) -> tuple[dict[RawTile, CutTile], list[TileFailure], int]:
    present = _files_below(out)
    finished = {tile: cut for tile in tiles if (cut := manifest.finished(tile, present)) is not None}
    skipped = len(finished)
    waiting = [tile for tile in tiles if tile not in finished]
    for tile in waiting:
        for file in manifest.earlier_files(tile):
            (out / file).unlink(missing_ok=True)

    failures: list[TileFailure] = []
    with tqdm(total=len(tiles), initial=skipped, unit="tile", desc="preparing") as progress:
        for outcome in _outcomes(cutter, waiting, out, partial, workers):
            if outcome.cut is None:
                failures.append(TileFailure(outcome.tile, outcome.message))
            else:
                manifest.add(outcome.tile, outcome.sources, outcome.cut)
                finished[outcome.tile] = outcome.cut
            progress.update()
    return finished, failures, skipped


def _files_below(out: Path) -> frozenset[str]:
    """All files below the output folder, relative, with `/` between the parts."""
    found = []
    for folder, _, names in os.walk(out):
        relative = Path(folder).relative_to(out)
        found.extend((relative / name).as_posix() for name in names if name not in (MANIFEST_NAME, LOCK_FILE))
    return frozenset(found)


def _outcomes(cutter: Cutter, tiles: list[RawTile], out: Path, partial: Path, workers: int) -> Iterator[_Outcome]:
    workers = min(workers, len(tiles))
    if workers <= 1:
        for tile in tiles:
            yield _cut_tile(cutter, tile, out, partial)
        return
    with worker_pool(workers) as pool:
        coming = iter(tiles)
        running = {
            pool.submit(_cut_tile, cutter, tile, out, partial) for tile in islice(coming, workers * _TILES_AHEAD)
        }
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_cut_tile, cutter, tile, out, partial) for tile in islice(coming, len(done))}
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
    """Cancel the tiles that wait, and yield those in progress when they are done."""
    tqdm.write("Stopping: tiles in progress are being finished; the same command resumes from there.")
    started = [future for future in running if not future.cancel()]
    yield from (_result(future) for future in started)


def _cut_tile(cutter: Cutter, tile: RawTile, out: Path, partial: Path) -> _Outcome:
    """Cut one tile into a folder of its own, then move its files into place. Runs in a worker process."""
    sources = tile.sources()
    try:
        with temporary_folder(partial / "tile") as folder:
            cut = cutter.cut(tile, folder)
            for file in cut.files:
                target = out / file
                target.parent.mkdir(parents=True, exist_ok=True)
                (folder / file).replace(target)
    except (OSError, ValueError, ImportError) as error:
        return _Outcome(tile, sources, None, str(error))
    return _Outcome(tile, sources, cut)
