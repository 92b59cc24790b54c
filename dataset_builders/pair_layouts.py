"""Finding the files of two dates and their masks by the layouts in which datasets of changes are published.

As `layouts`, with an expression for each file of a sample: they agree in every named group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import LayoutError
from .layouts import IMAGE, Layout, joined_groups, split_by_folder
from .shards import Record

PAIR_SPLIT = r"(?P<split>train|val|test|unlabelled)"
"""The name of a split as a folder; pairs without masks may lie in `unlabelled`."""

WITHOUT_MASKS = ("test", "unlabelled")


@dataclass(frozen=True)
class PairLayout:
    """One arrangement of the files of pairs.

    Attributes:
        description: how it looks, for error messages.
        before, after: expressions that match the whole relative path of the image of a date.
        masks: the same for the masks, in the order of the columns that they fill.
        split_of: the split of a pair from the named groups, `None` for pairs that belong to no split.
        without_masks: splits whose masks need not be there.
        identity: the id of a sample from the named groups.
    """

    description: str
    before: str
    after: str
    masks: tuple[str, ...]
    split_of: Callable[[Mapping[str, str]], str | None] = split_by_folder
    without_masks: tuple[str, ...] = WITHOUT_MASKS
    identity: Callable[[Mapping[str, str]], str] = joined_groups

    def find(self, files: Iterable[str]) -> dict[str, list[Record]]:
        """Records (before, after, a path for each mask, id) by split; paths of masks are empty where there are none.

        Raises:
            LayoutError: if images have no second date or no mask; the message names the first.
        """
        files = list(files)
        by_id = [self._by_id(expression, files) for expression in self.masks]
        found: dict[str, list[Record]] = {}
        for split, records in self._layout(self.before, self.after).find(files).items():
            for before, after, name in records:
                masks = tuple(paths.get((split, name), "") for paths in by_id)
                if not all(masks) and (any(masks) or split not in self.without_masks):
                    raise LayoutError(f"{before} and {after} have no mask; looked for the layout {self.description}")
                found.setdefault(split, []).append((before, after, *masks, name))
        return found

    def _by_id(self, masks: str, files: Sequence[str]) -> dict[tuple[str, str], str]:
        """The path of a mask by split and id."""
        records = self._layout(masks, None).find(files)
        return {(split, name): path for split, found in records.items() for path, _, name in found}

    def _layout(self, images: str, labels: str | None) -> Layout:
        """The layout of one file or two of each sample."""
        return Layout(self.description, images, labels, self.split_of, (), self.identity, "image of the other date")


def three_folders(before: str, after: str, mask: str, split: str = PAIR_SPLIT) -> PairLayout:
    """Both dates and the mask of the same name in three folders of each split.

    Args:
        before, after, mask: expressions for the names of the folders.
        split: expression for the folder of a split.
    """
    name = rf"(?P<name>[^/]+?){IMAGE}"
    return PairLayout(
        description=f"{{train,val,test}}/{{{before},{after},{mask}}}/NAME",
        before=rf"{split}/{before}/{name}",
        after=rf"{split}/{after}/{name}",
        masks=(rf"{split}/{mask}/{name}",),
    )
