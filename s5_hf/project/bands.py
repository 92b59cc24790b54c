"""Bands and depth of images: what everything that a project learns from and maps must have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..dataset_builders.band_files import band_numbers, color_bands, describe_bands, open_bands, own_name
from ..dataset_builders.band_images import BandReading
from ..dataset_builders.errors import SampleError
from ..dataset_builders.images import EXTENSIONS, read_header
from ..imaging import find_scenes, is_remote
from .settings import Project

__all__ = ["ImageBands", "band_names", "check_bands", "differs", "first_images", "has_crs", "read_image_bands"]

LOOKED_AT = 8
"""Images of a folder whose headers are read."""
COLORS = ("red", "green", "blue")
PILLOW_COLORS = {"1": COLORS, "L": ("gray",), "LA": ("gray", "alpha"), "RGBA": (*COLORS, "alpha")}
"""Channels of a picture that Pillow reads, by its mode; of all others red, green and blue."""


@dataclass(frozen=True)
class ImageBands:
    """The bands of an image file, transparency left out.

    Attributes:
        path: of the file.
        names: of each band: its description, else its colour, else its number from 1.
        described: description and colour of every band of the file, as `band_numbers` takes them.
        dtype: of the values.
        words: the bands for people.
    """

    path: str
    names: tuple[str, ...]
    described: tuple[tuple[str | None, str], ...]
    dtype: str
    words: str

    @property
    def depth(self) -> str:
        """Bits of a value, or that it is a real number."""
        kind = np.dtype(self.dtype)
        return "real numbers" if kind.kind == "f" else f"{8 * kind.itemsize} bits"

    def has(self, bands: Sequence[str | int]) -> bool:
        """Whether each of these names or numbers means a band of the file."""
        try:
            band_numbers(bands, self.described, self.path, self.words)
        except SampleError:
            return False
        return True


def read_image_bands(path: str | Path) -> ImageBands:
    """The bands of an image; only its header is read.

    Raises:
        CorruptImageError: if it is not an image.
        ImportError: if it needs rasterio, and that is not installed.
    """
    name = str(path)
    if BandReading().leaves_to_pillow(name, name):
        mode = read_header(name, name).mode
        colors = PILLOW_COLORS.get(mode, COLORS)
        described = tuple((None, color) for color in colors)
        names = tuple(own_name(number, described) or str(number) for number in range(1, len(colors) + 1))
        return ImageBands(name, names, described, "uint8", ", ".join(colors))
    with open_bands(name, name) as dataset:
        described = tuple(
            (text, color.name) for text, color in zip(dataset.descriptions, dataset.colorinterp, strict=True)
        )
        numbers = color_bands(dataset)
        names = tuple(own_name(number, described) or str(number) for number in numbers)
        kind = np.result_type(*(dataset.dtypes[number - 1] for number in numbers)).name
        return ImageBands(name, names, described, kind, describe_bands(dataset))


def has_crs(path: str | Path) -> bool:
    """Whether an image says where it lies."""
    with open_bands(str(path), str(path)) as dataset:
        return dataset.crs is not None


def differs(image: ImageBands, other: ImageBands, bands: Sequence[str | int] | None = None) -> str | None:
    """Why two images cannot go through one network, in words; `None` where they can.

    Args:
        image, other: of the same project.
        bands: names or numbers that are read; all bands if left out.
    """
    for one in (image, other):
        if bands and not one.has(bands):
            return f"{one.path} lacks one of the bands {', '.join(map(str, bands))}; it has: {one.words}"
    if not bands and len(image.names) != len(other.names):
        return f"{image.path} has {counted(image)}, {other.path} has {counted(other)}"
    if image.depth != other.depth:
        depths = [f"{one.path} holds values of {one.depth} ({one.dtype})" for one in (image, other)]
        return ", ".join(depths)
    return None


def counted(image: ImageBands) -> str:
    """The number of its bands, in words."""
    return f"{len(image.names)} band{'s' if len(image.names) > 1 else ''} ({image.words})"


def band_names(images: Sequence[ImageBands]) -> list[str] | None:
    """Names for all bands that mean the same in every image, with red, green and blue among them.

    `None` where there are none, and where images are of 8 bits and RGB, for which nothing needs to be said.
    """
    first = images[0]
    names = [name.lower() for name in first.names]
    plain = names == list(COLORS) and first.dtype == "uint8"
    if plain or not set(COLORS) <= set(names) or not all(image.has(first.names) for image in images):
        return None
    return list(first.names)


def first_images(place: str | Path, count: int = LOOKED_AT) -> list[str]:
    """Some images of a folder and the folders below, evenly spread, the first and the last among them."""
    if is_remote(str(place)):
        return []
    path = Path(place)
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS) if path.is_dir() else [path]
    chosen = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)) if files else []
    return [str(files[index]) for index in chosen]


def check_bands(project: Project) -> None:
    """Compare what is learned from and what is mapped, before any step; headers are read, of folders only some.

    Raises:
        ValueError: if images differ in bands or depth, or lack a band that the project names; names the key and both
            files.
        CorruptImageError: if one is no image.
        ImportError: if one needs rasterio, and that is not installed.
    """
    first: ImageBands | None = None
    for key, image in learned_from(project):
        first = first or image
        refuse(project, key, differs(image, first, project.bands))
    if first is None or project.maps is None or "bands" in project.maps.options:
        return
    for scene in find_scenes(project.scenes):
        if not is_remote(scene):
            refuse(project, "scenes", cannot_be_mapped(read_image_bands(scene), first, project.bands))


def refuse(project: Project, key: str, reason: str | None) -> None:
    """Raise a ValueError if there is a reason."""
    if reason is not None:
        raise ValueError(
            f"{project.path}: {key}: {reason}. All images of a project need the same bands and the same depth; bands "
            "names those that are read"
        )


def learned_from(project: Project) -> Iterator[tuple[str, ImageBands]]:
    """Images of the datasets and of the archive, each with the key of the file that names it."""
    for index, dataset in enumerate(project.datasets):
        places = find_scenes(dataset.scenes) if dataset.is_cut else first_images(images_folder(Path(dataset.folder)))
        for path in places:
            if not is_remote(path):
                yield f"datasets[{index}]", chosen_bands(read_image_bands(path), dataset.prepare.get("bands"))
    if project.curate is not None or project.pretrain is not None:
        for place in project.archive:
            yield from (("archive", read_image_bands(path)) for path in first_images(place))


def images_folder(folder: Path) -> Path:
    """The folder with the images of a dataset that is tiles already, without their masks; the folder itself where
    there is none."""
    known = (folder / name for name in ("train/images", "images/train", "images", "val/images"))
    return next((path for path in known if path.is_dir()), folder)


def chosen_bands(image: ImageBands, numbers: str | None) -> ImageBands:
    """A scene as its tiles hold it: with the bands, such as 3,2,1, that the preparation chooses."""
    if numbers is None:
        return image
    try:
        chosen = [int(number) - 1 for number in str(numbers).split(",")]
        described = tuple(image.described[index] for index in chosen)
    except (ValueError, IndexError) as error:
        raise ValueError(f"prepare.bands: {image.path} has no bands {numbers}; it has: {image.words}") from error
    return replace(
        image,
        names=tuple(own_name(number + 1, image.described) or str(number + 1) for number in chosen),
        described=described,
    )


def cannot_be_mapped(scene: ImageBands, first: ImageBands, bands: Sequence[str | int] | None) -> str | None:
    """Why a network that learned from images like `first` cannot map a scene, in words; `None` where it can.

    A prediction takes colours out of more bands, and a single band for all channels; images of 8 bits do not say how
    deeper ones are scaled, so that each scene's own range counts.
    """
    colors = [color for _, color in scene.described]
    count = len(first.names)
    fits = bands or count in (len(colors), len(scene.names)) or len(scene.names) == 1
    fits = fits or (count == len(COLORS) and all(colors.count(color) == 1 for color in COLORS))
    if not fits:
        return f"{scene.path} has {counted(scene)}, {first.path} has {counted(first)}"
    if first.depth == "8 bits":
        first = replace(first, dtype=scene.dtype)
    return differs(replace(scene, names=first.names), first, bands)
