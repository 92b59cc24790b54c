r"""Finding the files of a dataset by the layouts in which it is published.

A layout is a pair of regular expressions on paths relative to the data directory, for the images and for what labels
them. Named groups tie the two together: an image and its label agree in every group. The group `split` names the split
as the publisher writes it, all others make up the sample's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .errors import LayoutError
from .images import EXTENSIONS
from .shards import Record

IMAGE = rf"\.(?:{'|'.join(extension.removeprefix('.') for extension in EXTENSIONS)})"
"""Expression for the extension of an image."""

SPLIT_NAMES = ("train", "val", "trainval", "test")
SPLIT = r"(?P<split>[Tt]rain|[Vv]al|[Tt]est)"
"""The name of a split as a folder."""


def joined_groups(groups: Mapping[str, str]) -> str:
    """The id that all named groups but the split make, such as `Rural/0`."""
    return "/".join(value for name, value in groups.items() if name != "split")


def split_by_folder(groups: Mapping[str, str]) -> str | None:
    """The split that the group `split` names, in lower case."""
    return groups["split"].lower()


def always_train(groups: Mapping[str, str]) -> str:
    """The split of files that no folder assigns to one."""
    return "train"


# Builders look alike where they state their layouts: these are data, which each of them alone knows.
@dataclass(frozen=True)
class Layout:
    """One arrangement of files.

    Attributes:
        description: how it looks, for error messages.
        images: expression that matches the whole relative path of an image.
        labels: the same for label files; `None` where there are none.
        split_of: the split of an image from the named groups, `None` for images that belong to no split.
        without_labels: splits whose labels are not published.
        identity: the id of a sample from the named groups.
        partner: what the files of `labels` are called in messages.
    """

    description: str
    images: str
    labels: str | None
    split_of: Callable[[Mapping[str, str]], str | None] = field(default=split_by_folder)
    without_labels: tuple[str, ...] = ()
    identity: Callable[[Mapping[str, str]], str] = joined_groups
    partner: str = "label file"

    def find(self, files: Iterable[str]) -> dict[str, list[Record]]:
        """Records (image, label, id) by split; the label is empty where a split has none. Nothing without any labels.

        Raises:
            LayoutError: if images have no label; the message names the first.
        """
        files = list(files)
        labels = {} if self.labels is None else {key: path for path, key, _ in _matches(self.labels, files)}
        found: dict[str, list[Record]] = {}
        unlabelled: list[str] = []
        for path, key, groups in _matches(self.images, files):
            split = self.split_of(groups)
            if split is None:
                continue
            label = labels.get(key, "")
            if not label and self.labels is not None and split not in self.without_labels:
                unlabelled.append(path)
                continue
            found.setdefault(split, []).append((path, label, self.identity(groups)))
        if unlabelled and not labels:
            return {}
        if unlabelled:
            raise LayoutError(
                f"{len(unlabelled)} images have no {self.partner}, the first is {unlabelled[0]}; "
                f"looked for the layout {self.description}"
            )
        return found


def two_folders(images: str, labels: str, suffix: str = "", extension: str = IMAGE) -> Layout:
    """Images in one folder, labels of the same name in another.

    Args:
        images: expression for the folder of the images, with `SPLIT` in it.
        labels: the same for the labels.
        suffix: expression that the names of labels have beyond those of the images.
        extension: expression for the extension of labels.
    """
    name = r"(?P<name>[^/]+?)"
    return Layout(
        description=f"{readable(images)}/NAME, {readable(labels)}/NAME",
        images=f"{images}/{name}{IMAGE}",
        labels=f"{labels}/{name}{suffix}{extension}",
        without_labels=("test",),
    )


def readable(folder: str) -> str:
    """The expression for a folder as people write it."""
    return re.sub(r"\(\?:([^)]*)\)", r"\1", folder.replace(SPLIT, "{train,val}"))


COMMON_FOLDERS = (
    (f"{SPLIT}/images", f"{SPLIT}/(?:masks|labels)"),
    (f"images/{SPLIT}", f"(?:masks|labels)/{SPLIT}"),
    (f"img_dir/{SPLIT}", f"ann_dir/{SPLIT}"),
)
"""Expressions for the folders of images and of labels. The release of S5 has the first for iSAID and the last for the
ISPRS datasets; mmsegmentation's conversion scripts write the last, too."""

COMMON_LAYOUTS = tuple(two_folders(*folders) for folders in COMMON_FOLDERS)


def find_records(
    layouts: Sequence[Layout], files: Sequence[str], root: str, dataset: str
) -> tuple[Layout, dict[str, list[Record]]]:
    """The first layout that fits, and its records by split.

    Raises:
        LayoutError: if none fits, with all that were looked for.
    """
    for layout in layouts:
        found = layout.find(files)
        if found:
            return layout, found
    expected = "".join(f"\n  - {layout.description}" for layout in layouts)
    example = f"; it holds {len(files)} files such as {files[0]}" if files else "; it is empty"
    raise LayoutError(f"{root} has none of the known layouts of {dataset}{example}. Known:{expected}")


def _matches(pattern: str, files: Iterable[str]) -> Iterable[tuple[str, tuple, dict[str, str]]]:
    """Path, key (all named groups) and groups of the files that match as a whole."""
    compiled = re.compile(pattern, re.IGNORECASE)
    for path in files:
        match = compiled.fullmatch(path)
        if match:
            groups = match.groupdict()
            yield path, tuple(groups.values()), groups
