"""What a preparation has finished: one line of JSON per tile, so that a stopped run resumes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..dataset_builders.isprs import PREPARED as MANIFEST_NAME
from ..files.atomic import write_text

__all__ = ["MANIFEST_NAME", "CutTile", "Manifest", "RawTile"]

_FORMAT = 1


@dataclass(frozen=True)
class RawTile:
    """One image as its publisher gives it.

    Attributes:
        name: of the tile, once per split.
        split: its split.
        image: its file.
        label: None where the split or the dataset has none.
        later: the image of the same place at a later date, in a dataset of changes.
    """

    name: str
    split: str
    image: Path
    label: Path | None = None
    later: Path | None = None

    @property
    def key(self) -> str:
        return f"{self.split}/{self.name}"

    def sources(self) -> list[list[Any]]:
        """Name, size in bytes and time of change in nanoseconds of each file: what tells that a tile was replaced."""
        paths = [path for path in (self.image, self.label, self.later) if path is not None]
        return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]


@dataclass(frozen=True)
class CutTile:
    """What became of one tile.

    Attributes:
        files: files written, relative to the output folder, with `/` between the parts.
        crops: images among them.
        empty: crops left out because they hold no object.
        objects: boxes written, over all crops; a box in two overlapping crops counts twice.
        cut_off: boxes that touch some crop and are kept in none.
        class_pixels: labelled pixels of each class id and, last, pixels without a class, over all crops; empty where
            they are not counted.
        overlapping: pixels, over all crops, for which labels of several classes compete.
    """

    files: tuple[str, ...]
    crops: int
    empty: int = 0
    objects: int = 0
    cut_off: int = 0
    class_pixels: tuple[int, ...] = ()
    overlapping: int = 0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "CutTile":
        """What `asdict` wrote to JSON, where tuples became lists.

        Raises:
            TypeError: a value is missing or unknown.
        """
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


class Manifest:
    """The list of finished tiles in an output folder, and the settings that they were made with."""

    def __init__(self, out: Path, settings: dict[str, Any]):
        """Open or begin the manifest of `out`.

        Raises:
            ValueError: the folder was begun with other settings (names each), or the file is not a manifest.
        """
        self._out = out
        self._path = out / MANIFEST_NAME
        self._finished: dict[str, tuple[list[list[Any]], CutTile]] = {}
        self._settings = json.loads(json.dumps(settings))
        if self._path.exists():
            self._load()

    def _load(self) -> None:
        lines = self._path.read_text(encoding="utf-8").split("\n")
        # A line without its end was being written when the run was killed: that tile is not finished.
        complete = lines[:-1]
        for number, line in enumerate(complete, start=1):
            try:
                record = json.loads(line)
                if number == 1:
                    self._check_settings(record["settings"])
                else:
                    self._finished[record["tile"]] = record["sources"], CutTile.from_json(record["cut"])
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self._path}, line {number}: not a line that `prepare` writes ({error!r}). "
                    "Remove the file to prepare anew."
                ) from error
        if lines[-1]:
            self._rewrite(complete)

    def _rewrite(self, lines: list[str]) -> None:
        if not lines:
            self._path.unlink()
            return
        write_text(self._path, "".join(f"{line}\n" for line in lines))

    def _check_settings(self, earlier: dict[str, Any]) -> None:
        differing = [
            f"{name} was {earlier.get(name)!r}, is now {self._settings.get(name)!r}"
            for name in sorted(earlier.keys() | self._settings.keys())
            if earlier.get(name) != self._settings.get(name)
        ]
        if differing:
            raise ValueError(
                f"{self._out} was prepared with other settings: {'; '.join(differing)}. "
                "Give the same settings to resume, or another output folder."
            )

    def finished(self, tile: RawTile, present: frozenset[str]) -> CutTile | None:
        """The record of a tile whose sources are unchanged and whose files are all `present`, or None."""
        sources, cut = self._finished.get(tile.key, (None, None))
        if cut is None or sources != tile.sources() or not present.issuperset(cut.files):
            return None
        return cut

    def earlier_files(self, tile: RawTile) -> tuple[str, ...]:
        """Files that an earlier run wrote for a tile, whether or not it is still valid."""
        return self._finished[tile.key][1].files if tile.key in self._finished else ()

    def add(self, tile: RawTile, sources: list[list[Any]], cut: CutTile) -> None:
        """Record a finished tile. A later line of the same tile replaces the earlier one."""
        self._finished[tile.key] = sources, cut
        begin = not self._path.exists()
        with self._path.open("a", encoding="utf-8") as file:
            if begin:
                file.write(json.dumps({"format": _FORMAT, "settings": self._settings}) + "\n")
            file.write(json.dumps({"tile": tile.key, "sources": sources, "cut": asdict(cut)}) + "\n")
