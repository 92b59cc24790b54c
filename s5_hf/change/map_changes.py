"""Maps of what a trained model says has changed between two scenes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from ..files.atomic import write_text
from ..files.json_files import read_json_object
from ..imaging.palettes import Palette
from ..imaging.scene_files import scene_stem
from ..modeling.change_classes import CHANGE_LABELS
from ..predictors.interfaces import SceneSegmenter
from ..predictors.torch_change import TorchChangeDetector, load_change_detectors
from ..scenes.pair_looks import PairLook, looking_alike
from ..scenes.reading import SceneReading
from ..scenes.registration import aligned
from ..scenes.scene_names import relative_source
from ..scenes.scene_pairs import ScenePair, open_pair
from ..scenes.segmentation.scene_probabilities import WindowSettings
from ..scenes.segmentation.scene_result import MapProducts, SceneFiles, SceneResult
from ..scenes.segmentation.single_scene import map_scene
from ..scenes.source import has_rasterio
from .change_files import CHANGE_COLORS

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["PairedScene", "map_scene_changes"]


@dataclass
class PairedScene:
    """Two scenes as one with the channels of both; see `SceneSource`. Grid and name are those of the first.

    Where either date holds no data, neither does the pair, and both are 0: nothing seems to change there.
    """

    pair: ScenePair
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        first = self.pair.before
        self.name: str = first.name
        self.width, self.height, self.bands = first.width, first.height, first.bands
        self.crs: CRS | None = first.crs
        self.transform: Affine | None = first.transform
        self.fingerprint: str = self.pair.fingerprint
        self.notes += [*first.notes, *self.pair.after.notes]

    def read_rows(self, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows of both dates; see `SceneSource`."""
        rows = self.pair.read_rows(top, bottom)
        pixels = np.concatenate([rows.before, rows.after], axis=2).transpose(2, 0, 1)
        pixels = np.where(rows.valid, pixels, np.uint8(0))
        return pixels, None if rows.valid.all() else rows.valid


def map_scene_changes(
    model: str | Path | PreTrainedModel | Sequence[TorchChangeDetector],
    before: str | Path,
    after: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    settings: WindowSettings | None = None,
    products: MapProducts | None = None,
    reading: SceneReading | None = None,
    devices: Sequence[str | torch.device] | None = None,
    precision: str = "fp32",
    align: bool = False,
    look: PairLook | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    report: Callable[[str], None] = tqdm.write,
) -> SceneResult:
    """Map what changed between two scenes of one place, of any size, as a trained model sees it.

    The scenes are cut into windows that overlap and blend, as in `segment_scene`, in constant memory.

    Args:
        model: a folder or a repository of a change detector, the model itself, or detectors of it.
        before, after: as `open_pair` takes them; a second scene on another grid is resampled to the first.
        output: folder of the map, `<after>_change`, or its file. 255 stands for no data at either date.
        task, settings, products, devices, precision, resume, overwrite, progress, report: as `segment_scene`.
        reading: how both scenes are read, by default as the model was trained.
        align: move the later scene back where the whole of it is shifted; without it a shift is reported.
        look: gives the later scene the look of the earlier one.

    Raises:
        FileExistsError, ImportError, NonFiniteOutputError, OSError, ValueError: as `segment_scene` and `open_pair`.
    """
    output, products = Path(output), products or MapProducts()
    if output.is_dir() or not output.suffix:
        output = output / f"{scene_stem(after)}_change.{'tif' if has_rasterio() else 'png'}"

    def load() -> Sequence[TorchChangeDetector]:
        return model if isinstance(model, (list, tuple)) else load_change_detectors(model, task, devices, precision)

    def colors(labels: Sequence[str]) -> Palette:
        return CHANGE_COLORS if tuple(labels) == CHANGE_LABELS else products.colors(labels)

    @contextmanager
    def opened(detector: SceneSegmenter) -> Iterator[PairedScene]:
        trained = (reading or SceneReading()).as_trained(detector)
        with (
            open_pair(before, after, trained, report, detector.channels) as pair,
            looking_alike(aligned(pair, align, report), look, files.work, resume, overwrite, report) as alike,
        ):
            yield PairedScene(alike)

    files = SceneFiles.named(output, products)
    result = map_scene(
        [before, after],
        files,
        load=load,
        opened=opened,
        model=model,
        task=task,
        settings=settings,
        products=products,
        colors=colors,
        maximum_pixels=None if reading is None else reading.maximum_pixels,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        report=report,
    )
    name_later_date(files, after)
    return result


def name_later_date(files: SceneFiles, after: str | Path) -> None:
    """Enter the second scene into the description of a map, so that `write_viewer` shows both."""
    description = read_json_object(files.sidecar)
    description["source_after"] = relative_source(str(after), files.classes.parent)
    write_text(files.sidecar, json.dumps(description, indent=2) + "\n")
