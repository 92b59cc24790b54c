"""Finished rows into the files of a scene, in a thread, so that an interrupted run can be resumed."""

from __future__ import annotations

import json
import shutil
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from ...files.atomic import atomic_file, write_text
from ...files.json_files import read_json_object
from ...imaging.palettes import Palette
from ..scene_names import relative_source
from ..scene_run import require_same_work
from ..source import SceneSource
from ..window_batches import NewRows
from .areas import AreaCounter, ClassArea, pixel_areas
from .class_rows import NO_DATA, ClassRows
from .map_files import BLOCK_SIDE, MapFile, MapLayout, open_map
from .scene_overlay import SceneOverlay
from .scene_result import SceneFiles

__all__ = ["SceneWriter"]

_BLOCKS_IN_FLIGHT = 2


class SceneWriter:
    """Writes the maps of a scene into a folder beside their final names, and moves them there at the end.

    Rows are gathered into blocks of 512, the height of a tile. After each block the files are whole and a note says
    how far they go. As a context manager: an exception keeps the folder if it holds finished rows.

    Args:
        files: the names.
        scene: what they are made of.
        id2label: class ids to names.
        palette: a colour per class.
        task: of the model, for the tags.
        fingerprint: of everything that decides what the maps hold.
        resume: continue with the folder of an earlier run, if there is one, instead of starting afresh.
        cloud_optimized: whether GeoTIFFs become COGs.

    Attributes:
        rows_done: rows that are safe on the disk.
        restart_window: where an interrupted run begins; see `SceneProbabilities.restart_window`.

    Raises:
        OSError: the folder cannot be made.
        ValueError: the earlier run had another fingerprint.
    """

    def __init__(
        self,
        files: SceneFiles,
        scene: SceneSource,
        id2label: dict[int, str],
        palette: Palette,
        task: str | None,
        fingerprint: dict[str, str],
        resume: bool = False,
        cloud_optimized: bool = False,
    ) -> None:
        self.files, self._scene, self._id2label, self._palette = files, scene, id2label, palette
        self._fingerprint, self._cloud_optimized = fingerprint, cloud_optimized
        state = self._earlier_state() if resume else {}
        if not state:
            self._empty_folder(kept=files.bands if resume else None)
        self.rows_done, self.restart_window = state.get("rows", 0), state.get("window", 0)
        self._row_areas = pixel_areas(scene.crs, scene.transform, scene.height)
        self._areas = AreaCounter(len(id2label), self._row_areas, state.get("pixels"), state.get("square_metres"))
        try:
            self._layouts = self._map_layouts(task)
            self._maps = self._open_maps()
            self._overlay = SceneOverlay(files.work, scene.height, scene.width) if files.overlay else None
        except OSError:
            if not files.is_begun():
                self._remove_folder()
            raise
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scene-writer")
        self._waiting: deque[Future] = deque()
        self._top = self.rows_done  # of the block that is being filled
        self._filled = 0
        self._block: ClassRows | None = None
        self._finished: list[tuple[Path, Path]] = []

    def __enter__(self) -> SceneWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Blocks that are complete are written even so: a resumed run continues after them.
        self._thread.shutdown(wait=True)
        if kind is None or not self.files.is_begun():
            self._remove_folder()

    def add_image(self, rows: NewRows) -> None:
        """Take rows of the scene as they are read."""
        if self._overlay is not None:
            self._overlay.add_image(rows)

    def rows_to_block(self) -> int:
        """How many more rows the block takes."""
        return min(BLOCK_SIDE, self._scene.height - self._top) - self._filled

    def add(self, rows: ClassRows, restart_window: int) -> None:
        """Take the next rows of the maps, at most `rows_to_block()`.

        Args:
            rows: that follow those of the last call.
            restart_window: where to begin for what comes after them.

        Raises:
            OSError: earlier rows could not be written.
        """
        if self._block is None:
            self._block = self._new_block(rows)
        count = len(rows.classes)
        place = slice(self._filled, self._filled + count)
        for name in ("classes", "probabilities", "entropy"):
            values = getattr(rows, name)
            if values is not None:
                getattr(self._block, name)[..., place, :] = values
        self._filled += count
        if self.rows_to_block() == 0:
            self._waiting.append(self._thread.submit(self._write, self._top, self._block, restart_window))
            self._top, self._filled, self._block = self._top + self._filled, 0, None
            while len(self._waiting) > _BLOCKS_IN_FLIGHT:
                self._waiting.popleft().result()

    def finish(self, minimum_area: float = 0.0) -> list[ClassArea]:
        """Complete the maps; they still carry their temporary names.

        Args:
            minimum_area: of the regions in the map of classes; smaller ones go to a neighbour.

        Returns:
            What each class covers.

        Raises:
            OSError: something could not be written.
        """
        while self._waiting:
            self._waiting.popleft().result()
        if minimum_area:
            self._merge_small_regions(minimum_area)
        self._finished = [pair for file in self._maps.values() for pair in file.finish()]
        if self._overlay is not None:
            picture = self._overlay.picture(list(self._id2label.values()), self._palette)
            with atomic_file(self.files.overlay) as temporary:
                picture.save(temporary, format="PNG")
        return self._areas.table(self._id2label)

    def publish(self) -> None:
        """Give the maps their names, the map of classes last."""
        for temporary, final in reversed(self._finished):
            temporary.replace(final)

    def _merge_small_regions(self, minimum_area: float) -> None:
        """Replace the map of classes by one without small regions, and count its areas anew."""
        from .small_regions import merge_small_regions  # takes a second to import, and few runs need it

        given = self._maps["classes"]
        folder = self.files.work / "merged"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was interrupted here
        folder.mkdir()
        merged = open_map(folder, self.files.classes, self._layouts["classes"], self._cloud_optimized)
        self._areas = AreaCounter(len(self._id2label), self._row_areas)

        def write(top: int, classes: np.ndarray) -> None:
            merged.write(top, classes[None])
            self._areas.add(top, classes)
            if self._overlay is not None:
                self._overlay.add_classes(top, classes)

        size = (self._scene.height, self._scene.width)
        merge_small_regions(
            lambda top, bottom: given.read(top, bottom)[0], write, size, minimum_area, self._row_areas, NO_DATA
        )
        self._maps["classes"] = merged

    def _empty_folder(self, kept: Path | None) -> None:
        """Begin with a folder that holds nothing, except what other processes have finished."""
        self.files.work.mkdir(parents=True, exist_ok=True)
        for path in self.files.work.iterdir():
            if path.is_dir() and path != kept:
                shutil.rmtree(path)
            elif path != kept:
                path.unlink()

    def _remove_folder(self) -> None:
        shutil.rmtree(self.files.work, ignore_errors=True)

    def _write(self, top: int, block: ClassRows, restart_window: int) -> None:
        """In the thread: one block into all maps, then the note of how far they go."""
        self._maps["classes"].write(top, block.classes[None])
        if block.probabilities is not None:
            self._maps["probabilities"].write(top, block.probabilities)
        if block.entropy is not None:
            self._maps["entropy"].write(top, block.entropy[None])
        if self._overlay is not None:
            self._overlay.add_classes(top, block.classes)
        self._areas.add(top, block.classes)
        rows = top + len(block.classes)
        state = {
            "fingerprint": self._fingerprint,
            "rows": rows,
            "window": restart_window,
            "pixels": self._areas.pixels.tolist(),
            "square_metres": self._areas.square_metres.tolist(),
        }
        write_text(self.files.state, json.dumps(state))
        self.rows_done = rows

    def _new_block(self, rows: ClassRows) -> ClassRows:
        height = min(BLOCK_SIDE, self._scene.height - self._top)

        def empty(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else np.empty((*values.shape[:-2], height, values.shape[-1]), np.uint8)

        return ClassRows(empty(rows.classes), empty(rows.probabilities), empty(rows.entropy))

    def _map_layouts(self, task: str | None) -> dict[str, MapLayout]:
        scene, labels = self._scene, list(self._id2label.values())
        tags = {
            "S5_ID2LABEL": json.dumps({str(index): label for index, label in self._id2label.items()}),
            "S5_SOURCE": relative_source(scene.name, self.files.classes.parent),
        }
        if task is not None:
            tags["S5_TASK"] = task

        def layout(bands: list[str], palette: Palette | None = None) -> MapLayout:
            return MapLayout(scene.height, scene.width, bands, scene.crs, scene.transform, palette, tags)

        return {
            "classes": layout(["class"], self._palette),
            "probabilities": layout(labels),
            "entropy": layout(["entropy"]),
        }

    def _open_maps(self) -> dict[str, MapFile]:
        finals = {name: getattr(self.files, name) for name in self._layouts}
        return {
            name: open_map(self.files.work, final, self._layouts[name], self._cloud_optimized)
            for name, final in finals.items()
            if final is not None
        }

    def _earlier_state(self) -> dict:
        if not self.files.state.is_file():
            return {}
        state = read_json_object(self.files.state)
        require_same_work(self.files.work, state["fingerprint"], self._fingerprint)
        return state
