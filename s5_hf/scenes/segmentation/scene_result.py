"""What is made of a scene: which files, under which names, and the sidecar that describes them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...files.atomic import write_text
from ...files.json_files import read_json_object
from ...imaging.natural_colors import natural_palette
from ...imaging.palette_files import read_palette
from ...imaging.palettes import Color, Palette
from ...imaging.rasters import require_geo
from ...imaging.scene_files import scene_stem
from ..scene_names import relative_source
from ..scene_run import refuse_unfinished, require_absent
from ..source import SceneSource, has_rasterio
from .areas import ClassArea
from .class_rows import NO_DATA
from .map_files import is_geotiff, map_paths

__all__ = ["MapProducts", "SceneResult", "SceneFiles", "write_sidecar"]

SIDECAR_FORMAT = "s5_hf scene result 1"


@dataclass(frozen=True)
class MapProducts:
    """What to make besides the map of classes. The files get the name of the map with an ending.

    Attributes:
        probabilities: `_probabilities`, a band per class: probability * 254, 255 without data.
        entropy: `_entropy`: entropy / log(number of classes) * 254, 255 without data.
        overlay: `_overlay.png`, a picture with at most 2048 pixels a side.
        areas: `_areas.csv`; the sidecar always has the same table.
        polygons: a file name with the suffix `.geojson` or `.gpkg`, or the suffix alone, for `_polygons.geojson`.
        polygon_classes: names or ids of the classes that become polygons; all if left out.
        simplify, square_corners: of the polygons, as `write_polygons` takes them.
        minimum_area: of the regions of the map, in square metres, or in pixels where the coordinates do not say how
            large those are. Smaller regions are merged as by `merge_small_regions`, before areas are counted and
            polygons made.
        palette: a file with the colours of the classes, as `read_palette` reads it; `natural_palette` if left out.
        style: `.qml`, the style of the map in QGIS: names and colours of the classes.
        stac: `_stac.json`, a STAC item of the map: its place, projection and classes.
        cloud_optimized: whether the maps are cloud optimized GeoTIFFs (COG), which can be read in parts from a server.

    Raises:
        ValueError: the polygons have another suffix, the area is negative, or square corners are asked for without
            polygons or without simplification.
    """

    probabilities: bool = False
    entropy: bool = False
    overlay: bool = False
    areas: bool = False
    polygons: str | Path | None = None
    polygon_classes: Sequence[str | int] | None = None
    minimum_area: float = 0.0
    simplify: float | None = None
    square_corners: bool = False
    palette: str | Path | None = None
    style: bool = False
    cloud_optimized: bool = False
    stac: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.minimum_area < math.inf:
            raise ValueError(f"minimum_area must not be negative, got {self.minimum_area}")
        if self.polygons is not None and not str(self.polygons).endswith((".geojson", ".gpkg")):
            raise ValueError(f"polygons are written as .geojson or .gpkg, got {str(self.polygons)!r}")
        if self.square_corners and self.polygons is None:
            raise ValueError("square corners are for polygons (--polygons), which are not asked for")
        if self.square_corners and self.simplify == 0:
            raise ValueError("square corners move outlines: simplify must be above 0")

    @property
    def names_polygons(self) -> bool:
        """Whether `polygons` is a file, and not a suffix alone."""
        return self.polygons is not None and str(self.polygons) not in (".geojson", ".gpkg")

    def colors(self, labels: Sequence[str]) -> list[Color]:
        """The colour of each class.

        Raises:
            FileNotFoundError, ValueError: as `read_palette`.
        """
        return natural_palette(labels) if self.palette is None else read_palette(self.palette, labels)


@dataclass(frozen=True)
class SceneFiles:
    """Names of the files of one scene; None for what is not made. The sidecar is always made."""

    classes: Path
    sidecar: Path
    probabilities: Path | None = None
    entropy: Path | None = None
    overlay: Path | None = None
    areas: Path | None = None
    polygons: Path | None = None
    style: Path | None = None
    stac: Path | None = None

    @classmethod
    def of_scene(cls, source: str | Path, output: str | Path, products: MapProducts) -> SceneFiles:
        """The files of a scene; in a folder named after it, the map as GeoTIFF where rasterio is installed.

        Args:
            source: the scene.
            output: the map, or a folder.
            products: what is made besides the map.

        Raises:
            ImportError, ValueError: as `named`.
        """
        output = Path(output)
        if output.is_dir() or not output.suffix:
            output = output / f"{scene_stem(source)}.{'tif' if has_rasterio() else 'png'}"
        return cls.named(output, products)

    @classmethod
    def named(cls, output: Path, products: MapProducts) -> SceneFiles:
        """The files for a map of classes called `output`.

        Raises:
            ImportError: a GeoTIFF or polygons are asked for and the extra `geo` is not installed.
            ValueError: the suffix is not .tif, .tiff or .png, or a PNG is to be cloud optimized.
        """
        if not is_geotiff(output) and output.suffix.lower() != ".png":
            raise ValueError(f"a map is written as .tif or .png, got {str(output)!r}")
        if products.cloud_optimized and not is_geotiff(output):
            raise ValueError(f"a cloud optimized map (--cog) is a .tif, got {str(output)!r}")
        if is_geotiff(output):
            require_geo(f"writing {output}", "rasterio")
        if products.polygons is not None:
            require_geo("writing polygons", "shapely")

        def beside(ending: str) -> Path:
            return output.with_name(f"{output.stem}_{ending}")

        polygons = products.polygons
        if polygons is not None:
            polygons = Path(polygons) if products.names_polygons else beside(f"polygons{polygons}")
        return cls(
            classes=output,
            sidecar=output.with_suffix(".json"),
            probabilities=beside(f"probabilities{output.suffix}") if products.probabilities else None,
            entropy=beside(f"entropy{output.suffix}") if products.entropy else None,
            overlay=beside("overlay.png") if products.overlay else None,
            areas=beside("areas.csv") if products.areas else None,
            polygons=polygons,
            style=output.with_suffix(".qml") if products.style else None,
            stac=beside("stac.json") if products.stac else None,
        )

    def paths(self, labels: Sequence[str] = ()) -> list[Path]:
        """All files that are made. Without the classes' `labels` those of their probabilities as PNG are left out."""
        made = [self.classes, self.sidecar, self.entropy, self.overlay, self.areas, self.polygons]
        made += [self.style, self.stac]
        if self.probabilities is not None:
            made += map_paths(self.probabilities, labels)
        return [path for path in made if path is not None]

    @property
    def work(self) -> Path:
        """The folder that holds unfinished work."""
        return self.classes.with_name(f".{self.classes.name}.partial")

    @property
    def state(self) -> Path:
        """The file among the unfinished work that says how far it got."""
        return self.work / "state.json"

    @property
    def bands(self) -> Path:
        """The folder among the unfinished work for rows of processes that do not write the maps; see `BandFiles`."""
        return self.work / "bands"

    def band_notes(self) -> list[Path]:
        """The files that say how far those processes got."""
        return sorted(self.bands.glob("*.json"))

    def is_begun(self) -> bool:
        """Whether the unfinished work holds finished rows."""
        return self.state.is_file() or bool(self.band_notes())

    def is_finished(self) -> bool:
        """Whether the scene has been segmented before."""
        return self.classes.is_file() and self.sidecar.is_file() and not self.work.exists()

    def require_new(self, resume: bool, labels: Sequence[str] = ()) -> None:
        """Make sure that nothing is overwritten; a resumed run may replace what it has left itself.

        Args:
            resume: whether to resume an interrupted run.
            labels: of the classes, once they are known.

        Raises:
            FileExistsError: a file exists already, or the work of an interrupted run that is not to be resumed.
        """
        if resume and (self.is_finished() or self.is_begun()):
            return
        require_absent(self.paths(labels))
        if self.is_begun():
            refuse_unfinished(self.work)


@dataclass(frozen=True)
class SceneResult:
    """What `segment_scene` made.

    Attributes:
        files: the names of the files.
        areas: what each class covers.
        notes: what the user should know, a sentence each.
    """

    files: SceneFiles
    areas: list[ClassArea]
    notes: list[str] = field(default_factory=list)


def write_sidecar(
    files: SceneFiles,
    scene: SceneSource,
    areas: list[ClassArea],
    palette: Palette,
    task: str | None,
    model: str,
    later: SceneSource | None = None,
) -> None:
    """Write the description of a map of classes beside it, as JSON; `later` is the second date of a map of changes."""
    folder = files.classes.parent
    content = {
        "format": SIDECAR_FORMAT,
        "source": relative_source(scene.name, folder),
        **({} if later is None else {"source_after": relative_source(later.name, folder)}),
        "source_bands": list(scene.bands),
        "task": task,
        "model": model,
        "width": scene.width,
        "height": scene.height,
        "id2label": {str(area.id): area.label for area in areas},
        "palette": [list(color) for color in palette],
        "nodata": NO_DATA,
        "crs": None if scene.crs is None else scene.crs.to_string(),
        "areas": [asdict(area) for area in areas],
    }
    write_text(files.sidecar, json.dumps(content, indent=2) + "\n")


def read_sidecar_areas(path: Path) -> list[ClassArea]:
    """The areas in the description of a map that is finished."""
    return [ClassArea(**area) for area in read_json_object(path)["areas"]]
