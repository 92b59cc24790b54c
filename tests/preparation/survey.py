"""One scene with rectangles as labels, and what became of it, for the tests of prepared scenes."""

import numpy as np
import rasterio
import shapely
from affine import Affine

from s5_hf.preparation import LabelSettings, SplitSettings, TileSettings, prepare_scenes
from tests.geo_project import write_polygons, write_scene

NORTH_WEST = (583_000.0, 4_508_000.0)

ONE_PART = SplitSettings(val_share=0, test_share=0)


def tiles_of(folder, part="*"):
    """Path of the image, its dataset's bounds, the bands, and the mask of every tile."""
    for path in sorted(folder.glob(f"{part}/images/*.tif")):
        with rasterio.open(path) as image, rasterio.open(path.parents[1] / "masks" / path.name) as mask:
            assert (image.crs, image.transform, image.shape) == (mask.crs, mask.transform, mask.shape)
            yield path, image, mask.read(1)


def place_of(path):
    """Scene, left and top of a tile from its name."""
    scene, left, top = path.stem.rsplit("_", 2)
    return scene, int(left), int(top)


def one_scene(folder, side=128, **options):
    """A scene of one value, and where it lies."""
    transform = Affine(1, 0, NORTH_WEST[0], 0, -1, NORTH_WEST[1])
    values = np.full((4, side, side), 500, dtype=np.uint16)
    place = {"transform": transform, "crs": "EPSG:32618", **options}
    return write_scene(folder / "scenes" / "a.tif", values, place["transform"], place["crs"])


def box(left, top, right, bottom):
    """A rectangle of pixels of `one_scene` in its CRS."""
    west, north = NORTH_WEST
    return shapely.box(west + left, north - bottom, west + right, north - top)


def only_mask(result):
    """The only mask, of a scene that is one tile."""
    ((_, _, mask),) = tiles_of(result.folder)
    return mask


def prepare_boxes(folder, boxes, classes=("grass", "house"), settings=None, tiles=None, **options):
    scene = one_scene(folder)
    labels = write_polygons(folder / "labels.gpkg", boxes, classes, "EPSG:32618")
    settings = settings or LabelSettings(classes, "class")
    return prepare_scenes(
        scene, labels, folder / "out", settings, tiles or TileSettings(128), ONE_PART, workers=1, **options
    )
