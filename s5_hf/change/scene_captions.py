"""Sentences about what changed between two scenes, one for each part of them where something did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModel, AutoProcessor

from ..hub.model_folder import require_model_folder
from ..imaging.scene_files import scene_stem
from ..imaging.windows import Window, even_windows
from ..modeling import MVCCForChangeCaptioning, MVCCProcessor
from ..predictors.devices import default_device, usable_device
from ..scenes.class_maps import ClassMap, open_class_map
from ..scenes.reading import SceneReading
from ..scenes.registration import aligned
from ..scenes.scene_pairs import ScenePair, open_pair
from ..scenes.scene_run import require_absent
from ..scenes.source import SceneSource
from ..scenes.vector_files import vector_file

__all__ = ["ChangeCaptioner", "SceneCaption", "caption_scene_changes", "load_captioner", "open_captioned"]

CAPTION_WINDOW = 256
"""Pixels a side of a part that gets a sentence: the images of LEVIR-CC."""

BEAMS = 3
_UNCHANGED = 0
_FIELDS = {"caption": str, "date_before": str, "date_after": str}


@dataclass(frozen=True)
class ChangeCaptioner:
    """A captioner and what its images go through."""

    model: MVCCForChangeCaptioning
    processor: MVCCProcessor

    @property
    def channels(self) -> int:
        """Of an image of one date."""
        return len(self.processor.image_processor.image_mean)

    @torch.inference_mode()
    def caption(self, before: np.ndarray, after: np.ndarray, changed: np.ndarray | None = None) -> str:
        """A sentence about two images.

        Args:
            before, after: uint8 `(height, width, channels)`.
            changed: bool `(height, width)`; None where it is not known.
        """
        mask = None if changed is None else np.uint8(255) * changed
        inputs = self.processor(before, after, mask).to(self.model.device)
        tokens = self.model.generate(**inputs, num_beams=BEAMS)
        return self.processor.decode_captions(tokens)[0]


@dataclass(frozen=True)
class SceneCaption:
    """A sentence about a part of two scenes.

    Attributes:
        window: the part.
        text: the sentence.
    """

    window: Window
    text: str


def load_captioner(name: str | Path, device: str | None = None) -> ChangeCaptioner:
    """Load a captioner of a folder or repository.

    Raises:
        OSError: there is no such model.
        ValueError: it is another kind of model, or sees no images.
    """
    require_model_folder(str(name))
    kind = AutoConfig.from_pretrained(name).model_type
    if kind != MVCCForChangeCaptioning.config_class.model_type:
        raise ValueError(f"{name} is a model of the type {kind!r}, expected one of s5-hf train captioning")
    model = AutoModel.from_pretrained(name).eval()
    if model.encoder.video is None:
        raise ValueError(f"{name} has no video encoder, so it sees no images")
    return ChangeCaptioner(model.to(usable_device(device or default_device())), AutoProcessor.from_pretrained(name))


def caption_scene_changes(
    captioner: ChangeCaptioner,
    before: str | Path,
    after: str | Path,
    output: str | Path,
    *,
    maps: Sequence[Path] = (),
    window: int = CAPTION_WINDOW,
    reading: SceneReading | None = None,
    align: bool = False,
    dates: tuple[str, str] = ("", ""),
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
) -> tuple[Path, list[SceneCaption]]:
    """Write a sentence for every part of two scenes where maps show a change, as polygons with a text.

    Args:
        captioner: of `load_captioner`.
        before, after: as `open_pair` takes them.
        output: folder of `<scene>_captions.geojson`.
        maps: of changes, 0 for unchanged; without any every part gets a sentence.
        window: side of a part in pixels.
        reading: how the scenes are read, by default as the captioner was trained.
        align: whether to move the later scene back where it is shifted.
        dates: of the scenes, for the file.
        overwrite: replace the file.
        report: takes what the user should know, a line at a time.

    Returns:
        The file, and the sentences.

    Raises:
        FileExistsError: the file exists already.
        ValueError: as `open_pair`, or a map is not of these scenes.
    """
    if window < 1:
        raise ValueError(f"a part must have 1 pixel a side or more, got {window}")
    path = Path(output) / f"{scene_stem(after)}_captions.geojson"
    if not overwrite:
        require_absent([path])
    captions: list[SceneCaption] = []
    with ExitStack() as stack:
        pair = aligned(stack.enter_context(open_captioned(captioner, before, after, reading, report)), align, report)
        opened = [stack.enter_context(open_class_map(map_path)) for map_path in maps]
        for class_map in opened:
            _require_same_grid(class_map, pair.before)
        scene = pair.before
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = stack.enter_context(vector_file(path, scene.crs, scene.transform is not None, "captions", _FIELDS))
        for part, rows_before, rows_after, changed in _parts(pair, opened, window):
            text = captioner.caption(rows_before, rows_after, changed)
            captions.append(SceneCaption(part, text))
            corners = _corners(part, scene)
            writer.write([[corners]], {"caption": [text], "date_before": [dates[0]], "date_after": [dates[1]]})
    return path, captions


def open_captioned(
    captioner: ChangeCaptioner,
    before: str | Path,
    after: str | Path,
    reading: SceneReading | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> AbstractContextManager[ScenePair]:
    """Open two scenes as a captioner reads them; arguments and errors as `open_pair`."""
    trained = (reading or SceneReading()).as_trained(captioner.processor.image_processor)
    return open_pair(before, after, trained, report, captioner.channels)


def _parts(
    pair: ScenePair, maps: Sequence[ClassMap], window: int
) -> Iterator[tuple[Window, np.ndarray, np.ndarray, np.ndarray | None]]:
    """The parts that hold data and changes: where, both dates, and what changed there."""
    height, width = pair.before.height, pair.before.width
    parts = even_windows(width, height, window)
    with tqdm(total=len(parts), desc="captions", unit="part", disable=None) as bar:
        for (top, bottom), row in groupby(parts, key=lambda part: (part.top, part.bottom)):
            rows = pair.read_rows(top, bottom)
            changed = None
            if maps:
                changed = np.zeros((bottom - top, width), dtype=bool)
                for class_map in maps:
                    ids = class_map.read_rows(top, bottom)
                    changed |= (ids != _UNCHANGED) & (ids != class_map.nodata)
            for part in row:
                cut = rows.columns(part)
                seen = None if changed is None else changed[:, part.left : part.right]
                if cut.valid.any() and (seen is None or seen.any()):
                    yield part, cut.before, cut.after, seen
                bar.update()


def _require_same_grid(class_map: ClassMap, scene: SceneSource) -> None:
    if (class_map.height, class_map.width) != (scene.height, scene.width):
        raise ValueError(
            f"{class_map.path} has {class_map.width} x {class_map.height} pixels, {scene.name} {scene.width} x "
            f"{scene.height}"
        )


def _corners(part: Window, scene: SceneSource) -> np.ndarray:
    """The outline of a part in the units of the scene, `(5, 2)`, closed."""
    left, top, right, bottom = part
    pixels = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=float)
    if scene.transform is None:
        return pixels
    a, b, c, d, e, f = scene.transform[:6]
    return pixels @ np.array([[a, d], [b, e]]) + np.array([c, f])
