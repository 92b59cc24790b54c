"""Moving coordinates between coordinate reference systems (CRS), which are texts here: well-known text."""

from __future__ import annotations

import numpy as np

__all__ = ["crs_name", "crs_text", "points_in_crs", "same_crs"]


def crs_text(written: str) -> str:
    """The well-known text of a CRS that is written in any form, such as `EPSG:25832`.

    Raises:
        ValueError: there is no such CRS.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(written).to_wkt()
    except CRSError as error:
        raise ValueError(f"{written[:100]!r} is not a coordinate reference system: {error}") from error


def points_in_crs(places: np.ndarray, source: str, target: str) -> np.ndarray:
    """Coordinates `(n, 2)`, x and y, in another CRS.

    Raises:
        ValueError: some do not exist there.
    """
    from rasterio._err import CPLE_BaseError  # GDAL's own words, which rasterio hands on as they are
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    try:
        x, y = transform(CRS.from_wkt(source), CRS.from_wkt(target), places[:, 0], places[:, 1])
    except (CRSError, CPLE_BaseError) as error:
        raise ValueError(
            f"coordinates cannot be moved from {crs_name(source)} to {crs_name(target)}: {error}"
        ) from error
    moved = np.stack([x, y], axis=1)
    if not np.isfinite(moved).all():
        lost = places[~np.isfinite(moved).all(axis=1)][0].tolist()
        raise ValueError(f"the place {lost} of {crs_name(source)} does not exist in {crs_name(target)}")
    return moved


def same_crs(one: str, two: str) -> bool:
    """Whether two texts mean one CRS."""
    from rasterio.crs import CRS

    return one == two or CRS.from_wkt(one) == CRS.from_wkt(two)


def crs_name(crs: str | None) -> str:
    """A CRS in a word or two: its EPSG code, or its name."""
    from rasterio.crs import CRS

    if crs is None:
        return "no CRS"
    parsed = CRS.from_wkt(crs)
    code = parsed.to_epsg()
    return f"EPSG:{code}" if code else parsed.to_wkt().split('"')[1]
