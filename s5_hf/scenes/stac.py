"""STAC items: catalogue entries of scenes, which are read, and of maps, which are written. Plain JSON, no client.

The fields are those of STAC 1.1 with the extensions projection 2.0 and classification 2.0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.palettes import Color
from ..imaging.scene_files import is_remote

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

__all__ = ["is_item", "item_asset", "map_item"]

_IMAGE_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
_EXTENSIONS = (
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
)


def is_item(source: str | Path) -> bool:
    """Whether a scene is a file that may hold a STAC item."""
    return not is_remote(source) and Path(source).suffix.lower() == ".json"


def item_asset(path: str | Path, name: str | None = None) -> str:
    """The image that an item points to: a path or a URL.

    Args:
        path: the item, a JSON file.
        name: of the asset; by default the only image with the role `data` or `visual`, or else the only image.

    Raises:
        ValueError: the file is no item, or has no such asset or several; the message lists them.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    assets = content.get("assets") if isinstance(content, dict) and "stac_version" in content else None
    if not isinstance(assets, dict) or not all(
        isinstance(asset, dict) and "href" in asset for asset in assets.values()
    ):
        raise ValueError(f"{path} is not a STAC item, whose assets say where its images are")
    if name is not None and name not in assets:
        raise ValueError(f"{path} has no asset {name!r}; it has: {', '.join(assets) or 'none'}")
    chosen = name or _only_image(path, assets)
    href = str(assets[chosen]["href"])
    return href if is_remote(href) or Path(href).is_absolute() else str(path.parent / href)


def map_item(
    path: Path,
    size: tuple[int, int],
    crs: CRS | None,
    transform: Affine | None,
    classes: Sequence[tuple[str, Color]],
    nodata: int,
) -> dict[str, Any]:
    """The item of a map of classes, to be written beside it; its time is the present, when the map is made.

    Args:
        path: of the map.
        size: height and width.
        crs, transform: of the map; without a CRS the item has no geometry.
        classes: names and colours of the classes 0, 1, ...
        nodata: what stands for no class.
    """
    properties: dict[str, Any] = {"datetime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
    properties["proj:shape"] = list(size)
    item: dict[str, Any] = {"type": "Feature", "stac_version": "1.1.0", "stac_extensions": list(_EXTENSIONS)}
    item |= {"id": path.stem, "geometry": None}
    if crs is not None and transform is not None:
        code = crs.to_authority()
        properties["proj:code"] = None if code is None else ":".join(code)
        if code is None:
            properties["proj:wkt2"] = crs.to_wkt()
        properties["proj:transform"] = list(transform)[:6]
        item |= _footprint(size, crs, transform)
    item["properties"] = properties
    item["links"] = []
    item["assets"] = {
        "classes": {
            "href": f"./{path.name}",
            "type": "image/png" if path.suffix.lower() == ".png" else "image/tiff; application=geotiff",
            "roles": ["data"],
            "data_type": "uint8",
            "nodata": nodata,
            "classification:classes": [
                {
                    "value": value,
                    "name": _machine_name(label),
                    "title": label,
                    "color_hint": bytes(color).hex().upper(),
                }
                for value, (label, color) in enumerate(classes)
            ],
        }
    }
    return item


def _only_image(path: Path, assets: dict[str, dict[str, Any]]) -> str:
    images = {name: asset for name, asset in assets.items() if str(asset.get("type", "")).startswith(_IMAGE_TYPES)}
    for role in ("data", "visual"):
        having = [name for name, asset in images.items() if role in asset.get("roles", [])]
        if len(having) == 1:
            return having[0]
    if len(images) == 1:
        return next(iter(images))
    raise ValueError(
        f"{path} has several images, or none; choose an asset (--asset) of: {', '.join(assets) or 'none'}"
    )


def _footprint(size: tuple[int, int], crs: CRS, transform: Affine) -> dict[str, Any]:
    """Geometry and bounding box in longitude and latitude."""
    from rasterio.warp import transform as to_crs

    height, width = size
    a, b, c, d, e, f = transform[:6]
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    xs, ys = zip(*((a * x + b * y + c, d * x + e * y + f) for x, y in corners), strict=True)
    longitudes, latitudes = to_crs(crs, "EPSG:4326", xs, ys)
    ring = [[round(x, 8), round(y, 8)] for x, y in zip(longitudes, latitudes, strict=True)]
    box = [min(x for x, _ in ring), min(y for _, y in ring), max(x for x, _ in ring), max(y for _, y in ring)]
    return {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": box}


def _machine_name(label: str) -> str:
    """A name as the extension wants it: letters, digits, - and _."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", label).strip("_") or "class"
