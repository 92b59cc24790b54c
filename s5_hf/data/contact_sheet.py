"""A contact sheet of a dataset: samples spread over its splits, with masks or boxes drawn in."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ..dataset_builders.band_images import decode_column
from ..dataset_builders.errors import SampleError
from ..dataset_builders.images import decode
from ..dataset_builders.shards import Sample, Shard
from ..imaging.display import display_picture
from ..imaging.drawing import draw_oriented_boxes, overlay_mask
from ..imaging.natural_colors import natural_palette
from ..imaging.palettes import Palette, default_palette
from ..imaging.sheets import add_legend, contact_sheet
from .dataset_folder import DatasetFolder

__all__ = ["draw_sheet"]

_COLUMNS = 4
_PAIR_COLUMNS = ("image_before", "image_after", "mask")
_TILE_SIZE = 320
_ROAD_COLOR, _NODE_COLOR = (255, 140, 0), (255, 255, 0)
# Colour over what is everywhere would hide the image and say little.
_BARE_LABELS = frozenset({"background", "unchanged"})


def draw_sheet(folder: DatasetFolder, samples: int = 8) -> Image.Image:
    """Draw up to `samples` samples of each split, beside a legend of the classes.

    Segmentation shows each image and, to its right, the image under its mask; background and ignored pixels are bare.
    Changes show both dates, and the later one under the mask, or both under their masks.
    Detection shows the boxes as the model gets them, and road graphs their edges, crossings and ends. Samples that
    cannot be read are left out.

    Raises:
        ValueError: no sample can be drawn.
    """
    palette = _palette(folder)
    tiles: list[Image.Image] = []
    captions: list[str] = []
    for split, shards in folder.shards.items():
        for sample in _spread(shards, samples, folder):
            pictures = _draw(sample, folder, palette)
            tiles.extend(pictures)
            named = len(folder.image_columns)
            dates = [f"{split} {sample['id']}", "later"][:named]
            captions.extend([*dates, *["labels"] * (len(pictures) - named)])
    if not tiles:
        raise ValueError(f"No sample of {folder.entry.name} can be drawn.")
    # A row for each pair of dates and its mask.
    columns = _COLUMNS - 1 if folder.image_columns + folder.mask_columns == _PAIR_COLUMNS else _COLUMNS
    sheet = contact_sheet(tiles, captions, columns=columns, tile_size=_TILE_SIZE)
    drawn = [index for index, label in enumerate(folder.labels) if label not in _BARE_LABELS]
    if not drawn:
        return sheet
    return add_legend(sheet, [folder.labels[index] for index in drawn], [palette[index] for index in drawn])


def _palette(folder: DatasetFolder) -> Palette:
    """The dataset's own colours, or well separated ones where it has none or an eye could not tell them apart."""
    palette = folder.entry.palette
    if palette is None or len(palette) < len(folder.labels) or not _tells_apart(palette):
        return natural_palette(folder.labels) if folder.labels else default_palette(256)
    return palette


def _tells_apart(palette: Palette) -> bool:
    """Whether any two colours differ by a quarter of the range in some channel. Those of iSAID do not."""
    colors = np.asarray(palette, dtype=np.int64)
    differences = np.abs(colors[:, None] - colors[None]).max(axis=2)
    return bool((differences[np.triu_indices(len(colors), 1)] >= 64).all())


def _spread(shards: Sequence[Shard], wanted: int, folder: DatasetFolder) -> Iterator[Sample]:
    """Readable samples that lie evenly over a split. Shards that do not tell their length count as equally long."""
    lengths = [getattr(shard, "num_rows", 1) for shard in shards]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(shards) else 0
    places: dict[int, list[float]] = {}
    for number in range(wanted if total else 0):
        position = (number + 0.5) * total / wanted
        shard = int(np.searchsorted(ends, position, side="right"))
        places.setdefault(shard, []).append((position - (ends[shard] - lengths[shard])) / lengths[shard])
    for shard, shares in places.items():
        yield from _readable(shards[shard], shares, folder)


def _readable(shard: Shard, shares: Sequence[float], folder: DatasetFolder) -> Iterator[Sample]:
    """Samples at shares in 0..1 of the first block of a shard, or the next ones where one cannot be read."""
    try:
        rows = next(iter(shard.stream()), ())
    except (OSError, SampleError):
        return
    next_row = 0
    for share in shares:
        for row in range(max(next_row, int(share * len(rows))), len(rows)):
            next_row = row + 1
            try:
                sample = rows[row]
                for column in folder.image_columns:
                    decode_column(folder.images, sample[column], sample["id"])
                for column in folder.mask_columns:
                    if sample.get(column) is not None:
                        decode(sample[column], sample["id"])
            except SampleError:
                continue
            yield sample
            break


def _draw(sample: Sample, folder: DatasetFolder, palette: Palette) -> list[Image.Image]:
    images = [
        display_picture(decode_column(folder.images, sample[column], sample["id"])) for column in folder.image_columns
    ]
    if "edges" in sample:
        return [images[0], _draw_roads(images[0], sample)]
    if "objects" in sample:
        return [_draw_boxes(images[0], sample["objects"], palette)]
    tiles = list(images)
    for column in folder.mask_columns:
        if sample.get(column) is not None:
            mask = np.asarray(decode(sample[column], sample["id"]))
            bare = [index for index, label in enumerate(folder.labels) if label in _BARE_LABELS]
            known = np.where((mask < len(palette)) & ~np.isin(mask, bare), mask, folder.ignore_index)
            below = images[0] if column == "mask_before" else images[-1]
            tiles.append(overlay_mask(below, known, palette, ignore_index=folder.ignore_index))
    return tiles


def _draw_roads(image: Image.Image, sample: Sample) -> Image.Image:
    """A road graph on an image that is first brought to the tile's size; crossings and ends are dots."""
    small = ImageOps.contain(image, (_TILE_SIZE, _TILE_SIZE))
    nodes = np.asarray(sample["nodes"], dtype=np.float64).reshape(-1, 2) * small.width / image.width
    edges = np.asarray(sample["edges"], dtype=np.int64).reshape(-1, 2)
    draw = ImageDraw.Draw(small)
    for begin, end in nodes[edges]:
        draw.line([*begin, *end], fill=_ROAD_COLOR, width=2)
    for x, y in nodes[np.bincount(edges.ravel(), minlength=len(nodes)) != 2]:
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_NODE_COLOR)
    return small


def _draw_boxes(image: Image.Image, objects: dict, palette: Palette) -> Image.Image:
    """Boxes on an image that is first brought to the tile's size, so that lines keep their width on the sheet."""
    small = ImageOps.contain(image, (_TILE_SIZE, _TILE_SIZE))
    boxes = np.asarray(objects["obb"], dtype=np.float64).reshape(-1, 5)
    boxes[:, :4] *= small.width / image.width
    return draw_oriented_boxes(small, boxes, labels=np.asarray(objects["category"], dtype=np.int64), palette=palette)
