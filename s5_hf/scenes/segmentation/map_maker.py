"""One scene on its way into files: predicted from top to bottom, by one process or by several that share its rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from ...files.atomic import write_text
from ...files.json_files import read_json_object
from ...imaging.palettes import Color, Palette
from ...imaging.scene_files import scene_stem
from ...predictors.interfaces import SceneSegmenter
from ..blended_rows import FinishedRows
from ..qgis_styles import raster_style
from ..scene_run import finished_work_kept
from ..source import SceneSource
from ..stac import map_item
from ..window_batches import NewRows
from .areas import ClassArea, write_areas
from .class_rows import NO_DATA, ClassRows, class_rows
from .map_files import BLOCK_SIDE
from .scene_probabilities import SceneProbabilities, WindowSettings
from .scene_result import MapProducts, SceneFiles, SceneResult, write_sidecar
from .scene_writer import SceneWriter
from .shared_rows import Band, BandFiles, RowTeam, missing_rows

__all__ = ["MapMaker"]


@dataclass(frozen=True)
class MapMaker:
    """One scene on its way into files; the attributes are those of `segment_scene`."""

    scene: SceneSource
    segmenters: Sequence[SceneSegmenter]
    files: SceneFiles
    settings: WindowSettings
    products: MapProducts
    palette: Palette
    progress: bool
    report: Callable[[str], None]
    team: RowTeam = RowTeam()  # noqa: RUF009 - it cannot change

    def make(self, task: str | None, model: str, resume: bool) -> SceneResult:
        """All files except the polygons; `task` and `model` are for the description."""
        scene, files, segmenter, cog = self.scene, self.files, self.segmenters[0], self.products.cloud_optimized
        id2label = {index: segmenter.id2label[index] for index in range(segmenter.num_labels)}
        with (
            finished_work_kept(files.work, "rows", self.report),
            SceneWriter(files, scene, id2label, self.palette, task, self._fingerprint(), resume, cog) as writer,
        ):
            if writer.rows_done:
                self.report(f"resuming after row {writer.rows_done:,} of {scene.height:,}")
            self._fill(writer)
            areas = writer.finish(self.products.minimum_area)
            write_sidecar(files, scene, areas, self.palette, task, model)
            if files.style is not None:
                write_text(files.style, raster_style(_styled(areas, self.palette)))
            if files.stac is not None:
                classes, size = list(_styled(areas, self.palette).values()), (scene.height, scene.width)
                item = map_item(files.classes, size, scene.crs, scene.transform, classes, NO_DATA)
                write_text(files.stac, json.dumps(item, indent=2) + "\n")
            if files.areas is not None:
                write_areas(areas, files.areas)
            writer.publish()
        return SceneResult(files, areas, scene.notes)

    def _fingerprint(self) -> dict[str, str]:
        """What decides the content of the maps, under names for people."""
        products = self.products
        return {
            "the model": self.segmenters[0].fingerprint,
            "the scene or how it is read": self.scene.fingerprint,
            "the windows or their augmentation": repr(self.settings),
            "the palette": repr([tuple(color) for color in self.palette]),
            "the products": repr((products.probabilities, products.entropy, products.overlay)),
        }

    def make_bands(self) -> None:
        """The rows of a process that does not write the maps, into files of their own."""
        state, team, files = self.files.state, self.team, self._band_files()
        team.wait()  # the first process has made or taken up the folder of the unfinished work
        first_row = read_json_object(state)["rows"] if state.is_file() else 0
        bands = files.finished()
        windows = {band.bottom: band.next_window for band in bands}
        team.wait()
        for top, bottom in team.share(missing_rows(first_row, self.scene.height, bands)):
            stream = self._stream(top, windows.get(top))
            pieces = ((rows.top, self._class_rows(rows)) for rows in rows_above(bottom, stream))
            files.make((top, bottom), stream.first_window, pieces, stream.restart_window)
        team.wait()

    def _fill(self, writer: SceneWriter) -> None:
        """Predict the rows that are missing, and hand them to the writer with those that the others have made."""
        scene, team, row, files = self.scene, self.team, writer.rows_done, self._band_files()
        team.wait()  # from here to the next call all look which rows are missing
        bands = files.finished()
        windows = {band.bottom: band.next_window for band in bands} | {row: writer.restart_window}
        team.wait()
        with tqdm(
            total=scene.height, initial=row, desc=scene_stem(scene.name), unit="row", disable=not self.progress
        ) as bar:
            for top, bottom in team.share(missing_rows(row, scene.height, bands)):
                self._copy(writer, files, bands, (row, top), bar)
                stream = self._stream(top, windows.get(top), writer.add_image)
                for rows in rows_above(bottom, stream):
                    self._hand_on(writer, rows.top, self._class_rows(rows), stream.restart_window)
                    bar.update(rows.probabilities.shape[1])
                row = bottom
            team.wait()
            self._copy(writer, files, files.finished(), (row, scene.height), bar)

    def _copy(
        self, writer: SceneWriter, files: BandFiles, bands: Sequence[Band], rows: tuple[int, int], bar: tqdm
    ) -> None:
        """Hand finished rows of bands to the writer, and delete bands that it has written."""
        for band in bands:
            top, bottom = max(band.top, rows[0]), min(band.bottom, rows[1])
            for start in range(top, bottom, BLOCK_SIDE):
                stop = min(start + BLOCK_SIDE, bottom)
                if self.files.overlay is not None:
                    writer.add_image(NewRows(start, *self.scene.read_rows(start, stop)))
                self._hand_on(writer, start, files.read(band, start, stop), band.restart_window)
                bar.update(stop - start)
            for passed in bands:
                if passed.bottom <= writer.rows_done:
                    files.remove(passed)

    def _stream(
        self,
        first_row: int,
        start_window: int | None = None,
        on_new_rows: Callable[[NewRows], None] = lambda rows: None,
    ) -> SceneProbabilities:
        """The rows from `first_row` on, from a window on that is known or found."""
        return SceneProbabilities(self.scene, self.segmenters, self.settings, first_row, start_window, on_new_rows)

    def _class_rows(self, rows: FinishedRows) -> ClassRows:
        return class_rows(rows.probabilities, rows.valid, self.products.probabilities, self.products.entropy)

    def _hand_on(self, writer: SceneWriter, top: int, rows: ClassRows, restart_window: Callable[[int], int]) -> None:
        """Give rows to the writer, as many at a time as its block takes."""
        done = 0
        while done < len(rows.classes):
            stop = min(done + writer.rows_to_block(), len(rows.classes))
            writer.add(rows.part(done, stop), restart_window(top + stop))
            done = stop

    def _band_files(self) -> BandFiles:
        wanted = {"probabilities": self.products.probabilities, "entropy": self.products.entropy, "classes": True}
        layers = {"classes": None, "probabilities": self.segmenters[0].num_labels, "entropy": None}
        kept = {name: count for name, count in layers.items() if wanted[name]}
        return BandFiles(self.files, kept, self.scene.width, self._fingerprint())


def rows_above(bottom: int, stream: Iterable[FinishedRows]) -> Iterator[FinishedRows]:
    """Finished rows up to `bottom`; what would come after them is not computed."""
    for rows in stream:
        count = bottom - rows.top
        if count < rows.probabilities.shape[1]:
            valid = None if rows.valid is None else rows.valid[:count]
            rows = FinishedRows(rows.top, rows.probabilities[:, :count], valid)
        yield rows
        if rows.top + rows.probabilities.shape[1] >= bottom:
            return


def _styled(areas: Sequence[ClassArea], palette: Palette) -> dict[int, tuple[str, Color]]:
    """Names and colours by class id."""
    return {area.id: (area.label, color) for area, color in zip(areas, palette, strict=True)}
