"""A hyperspectral cube and class names to a map of classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..files.atomic import atomic_file
from ..imaging.natural_colors import natural_palette
from ..imaging.windows import Window, even_windows
from ..modeling import MambaHSIForSemanticSegmentation
from ..predictors.interfaces import SceneSegmenter
from ..scenes.scene_run import finished_work_kept, require_absent
from ..scenes.segmentation.areas import AreaCounter, ClassArea, pixel_areas
from ..scenes.segmentation.class_rows import NO_DATA
from ..scenes.segmentation.map_files import MapLayout, open_map
from ..scenes.segmentation.scene_result import MapProducts, SceneFiles, write_sidecar
from ..training import carry_out
from ..training.checkpointing.folder_swap import replaced
from .class_scores import CubePicture, LabelScores, SegmenterScores, read_labels
from .cube import HyperspectralCube
from .kind import NETWORK, CubeScores, SpecialTraining, predict_window
from .recipe import SpecialRecipe
from .value_stretch import ValueStretch

__all__ = ["CubeFiles", "CubeMap", "FirstLabels", "classify_cube"]

CUBE_SHARE = 0.0001
"""Share of the values of a cube that are clipped at either end."""


@dataclass(frozen=True)
class FirstLabels:
    """Where the first labels of a cube come from: a segmenter or a map.

    Attributes:
        segmenter: that sees the picture of the cube.
        labels: names of the classes of a map.
        label_file: the map, as `read_labels` takes it.
        synthesis: of the picture, `linear` or `cie`.
        picture_bands: numbers of the bands for red, green and blue, in place of a synthesis.
    """

    segmenter: SceneSegmenter | None = None
    labels: Sequence[str] = ()
    label_file: str | Path | None = None
    synthesis: str = "linear"
    picture_bands: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if (self.segmenter is None) == (self.label_file is None):
            raise ValueError("first labels come from a segmenter or from a map of labels; give one of them")


@dataclass(frozen=True)
class CubeFiles:
    """Files of a cube's map called OUTPUT.

    Attributes:
        classes: the map.
        first: the map of the first labels, `_first`.
        picture: what the segmenter saw, `_picture.png`; None with labels of a map.
        work: the folder of unfinished work.
    """

    classes: SceneFiles
    first: SceneFiles
    picture: Path | None
    work: Path

    @classmethod
    def named(cls, output: str | Path, with_picture: bool) -> CubeFiles:
        """The files for a map called `output`; errors as `SceneFiles.named`."""
        output = Path(output)
        classes = SceneFiles.named(output, MapProducts())
        first = SceneFiles.named(output.with_name(f"{output.stem}_first{output.suffix}"), MapProducts())
        picture = output.with_name(f"{output.stem}_picture.png") if with_picture else None
        return cls(classes, first, picture, classes.work)

    def paths(self) -> list[Path]:
        """All files that are made."""
        return [*self.classes.paths(), *self.first.paths(), *([] if self.picture is None else [self.picture])]


@dataclass(frozen=True)
class CubeMap:
    """What `classify_cube` made.

    Attributes:
        files: their names.
        areas: what each class covers.
        changed: share of the pixels with a first label that have another one now.
        notes: what the user should know, a sentence each.
    """

    files: CubeFiles
    areas: list[ClassArea]
    changed: float
    notes: list[str] = field(default_factory=list)


def classify_cube(
    cube: HyperspectralCube,
    output: str | Path,
    first: FirstLabels,
    recipe: SpecialRecipe | None = None,
    *,
    network: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = tqdm.write,
) -> CubeMap:
    """Find the classes of a cube: first labels, a network that learns from them and from the spectra, its map.

    No true labels are used anywhere.

    Args:
        cube: open.
        output: the map, `.tif` or `.png`.
        first: where the first labels come from.
        recipe: of the training; its `output_dir` and `resume` are set here.
        network: folder to keep the trained network in, with the stretch of the cube; without one it is thrown away.
        resume: continue an interrupted run.
        overwrite: replace existing files.
        report: takes what the user should know, a line at a time.

    Raises:
        FileExistsError: a file exists already, and neither `resume` nor `overwrite` is set.
        ValueError: cube, first labels and settings do not fit together.
    """
    recipe = recipe or SpecialRecipe()
    recipe.check()
    files = CubeFiles.named(output, with_picture=first.segmenter is not None)
    kept = None if network is None else Path(network)
    if not overwrite:
        require_absent([*files.paths(), *([] if resume else [files.work]), *([] if kept is None else [kept])])
    elif not resume:
        shutil.rmtree(files.work, ignore_errors=True)
    for note in cube.notes:
        report(note)
    windows = even_windows(cube.width, cube.height, recipe.refinement.window)
    with finished_work_kept(files.work, "steps", report):
        known = _first_scores(cube, first, windows, files)
        recipe.run.output_dir, recipe.run.resume = str(files.work / "run"), "auto"
        trained = files.work / "run" / NETWORK
        if not trained.is_dir():
            carry_out(SpecialTraining(recipe, known))
        model = MambaHSIForSemanticSegmentation.from_pretrained(trained)
        classes = _predicted(known, model, windows)
    first_classes = _classes_of(known.scores)
    _write_map(cube, first_classes, files.first, files.work / "first", known.labels, "first labels")
    areas = _write_map(cube, classes, files.classes, files.work / "map", known.labels, "SPECIAL")
    if kept is not None:
        with replaced(kept) as temporary:
            shutil.copytree(trained, temporary, dirs_exist_ok=True)
    shutil.rmtree(files.work)
    both = (first_classes != NO_DATA) & (classes != NO_DATA)
    changed = float((first_classes != classes)[both].mean()) if both.any() else 0.0
    return CubeMap(files, areas, changed, list(cube.notes))


def _first_scores(
    cube: HyperspectralCube, first: FirstLabels, windows: Sequence[Window], files: CubeFiles
) -> CubeScores:
    """The first scores of all windows; those that an interrupted run has made are read again."""
    scorer = _scorer(cube, first, windows)
    if isinstance(scorer, SegmenterScores) and files.picture is not None:
        _write_picture(cube, scorer.picture, windows, files.picture)
    folder = files.work / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    _require_same(folder / "made_of.json", [cube.fingerprint, scorer_name(scorer), list(scorer.labels)])
    scores = np.zeros((len(scorer.labels), cube.height, cube.width), dtype=np.float32)
    for index, window in enumerate(tqdm(windows, desc="first labels", unit="window", disable=None)):
        path = folder / f"{index}.npy"
        if not path.is_file():
            with atomic_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, scorer(cube, window))
        scores[:, window.top : window.bottom, window.left : window.right] = np.load(path)
    stretch = ValueStretch.between_quantiles(
        _valid_values(cube, windows), CUBE_SHARE, cube.height * cube.width * len(cube.bands)
    )
    return CubeScores(cube, stretch, scores, list(scorer.labels))


def _scorer(cube: HyperspectralCube, first: FirstLabels, windows: Sequence[Window]) -> SegmenterScores | LabelScores:
    if first.segmenter is None:
        return read_labels(str(first.label_file), cube, first.labels)
    picture = CubePicture.of_cube(cube, windows, first.synthesis, first.picture_bands)
    return SegmenterScores(first.segmenter, picture)


def scorer_name(scorer: SegmenterScores | LabelScores) -> str:
    """Changes when the scores would."""
    if isinstance(scorer, SegmenterScores):
        return f"{scorer.segmenter.fingerprint} {scorer.picture.weights.tolist()}"
    return f"{np.bincount(scorer.first.reshape(-1)).tolist()}"


def _require_same(path: Path, made_of: list[object]) -> None:
    """What an interrupted run was made of must be the same.

    Raises:
        ValueError: it is not.
    """
    text = json.dumps(made_of)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{path.parents[1]} holds the unfinished work of another cube, other classes or another segmenter; "
            "choose overwrite (--overwrite) to start afresh"
        )
    if not path.is_file():
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _valid_values(cube: HyperspectralCube, windows: Sequence[Window]) -> Iterator[np.ndarray]:
    for window in windows:
        values, valid = cube.read(window)
        yield values[:, valid]


def _write_picture(cube: HyperspectralCube, picture: CubePicture, windows: Sequence[Window], path: Path) -> None:
    pixels = np.zeros((cube.height, cube.width, 3), dtype=np.uint8)
    for window in windows:
        values = picture(*cube.read(window))
        pixels[window.top : window.bottom, window.left : window.right] = (values * 255).round()
    with atomic_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _predicted(known: CubeScores, model: MambaHSIForSemanticSegmentation, windows: Sequence[Window]) -> np.ndarray:
    """The classes of all pixels, uint8 `(height, width)`; 255 without data."""
    classes = np.full((known.cube.height, known.cube.width), NO_DATA, dtype=np.uint8)
    for window in tqdm(windows, desc="classes", unit="window", disable=None):
        values, valid = known.read(window)
        place = classes[window.top : window.bottom, window.left : window.right]
        place[valid] = predict_window(model, values).argmax(axis=0)[valid]
    return classes


def _classes_of(scores: np.ndarray) -> np.ndarray:
    """The classes of scores, uint8; 255 where nothing is known."""
    return np.where((scores > 0).any(axis=0), scores.argmax(axis=0), NO_DATA).astype(np.uint8)


def _write_map(
    cube: HyperspectralCube, classes: np.ndarray, files: SceneFiles, work: Path, labels: Sequence[str], model: str
) -> list[ClassArea]:
    """Write a map of classes uint8 `(height, width)` and its description; what each class covers."""
    id2label, palette = dict(enumerate(labels)), natural_palette(labels)
    tags = {"S5_ID2LABEL": json.dumps(id2label)}
    shutil.rmtree(work, ignore_errors=True)  # of a run that was interrupted while it wrote
    work.mkdir(parents=True)
    layout = MapLayout(cube.height, cube.width, ["class"], cube.crs, cube.transform, palette, tags)
    map_file = open_map(work, files.classes, layout)
    map_file.write(0, classes[None])
    areas = AreaCounter(len(labels), pixel_areas(cube.crs, cube.transform, cube.height))
    areas.add(0, classes)
    for temporary, final in map_file.finish():
        temporary.replace(final)
    table = areas.table(id2label)
    write_sidecar(files, cube, table, palette, None, model)
    return table
