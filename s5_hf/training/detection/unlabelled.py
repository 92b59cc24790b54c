"""The unlabelled images of a detection run: their order, their views, and how they join the labelled ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...semi_supervised import UnlabelledObjects
from ..batches import Row
from ..views.oriented import OrientedSampleView
from ..views.row_views import DrawnViews
from ..views.strong_draws import StrongAugmentation, StrongDraws
from ..views.weak import sample_seed
from .batches import DetectionBatch, DetectionViews

STREAM = "unlabelled"
STRONG = StrongDraws(StrongAugmentation(cutmix_probability=0))
"""Draws the colours and the blur of the strong view; boxes of other images are not pasted."""
NOTHING: Mapping[str, list] = {"obb": [], "category": []}


@dataclass(frozen=True)
class UnlabelledSampleView:
    """Makes the row of a sample without labels; labels that it has are not looked at.

    Attributes:
        view: of the samples of the same task with labels.
    """

    view: OrientedSampleView

    def __call__(self, sample: Mapping[str, Any], epoch: int) -> Row:
        """The row of a sample in an epoch: `image` and `size` as those of labelled ones, and what `STRONG` draws."""
        view = replace(self.view, task=stream_of(self.view.task))
        row = view({**sample, "objects": NOTHING}, epoch)
        seed = sample_seed(view.seed, f"{view.task} strong", epoch, str(sample.get("id", "a sample")))
        return {"image": row["image"], "size": row["size"], "strong": STRONG(seed, row["image"])}


def stream_of(task: str) -> str:
    """The name of the stream of a task's unlabelled images, for its order and the draws of its views."""
    return f"{task} {STREAM}"


@dataclass(frozen=True)
class UnlabelledViews:
    """Moves batches of unlabelled images to the device, and makes the strong views there.

    Attributes:
        views: of the labelled images.
        tasks: with unlabelled images, in the order of their datasets.
        colors: positions of red, green and blue among the channels; `None` where there are no colours.
    """

    views: DetectionViews
    tasks: Sequence[str]
    colors: tuple[int, int, int] | None = (0, 1, 2)

    def __call__(self, rows: Row) -> UnlabelledObjects:
        """The batch of some rows."""
        images = self.views.images(rows)
        strong, _ = DrawnViews.moved(rows["strong"], self.views.device).strong_rows(images, self.colors)
        return UnlabelledObjects(
            self.views.normalized(images),
            self.views.normalized(strong),
            [self.tasks[task] for task in rows["task"].tolist()],
            rows["size"].tolist(),
        )


def joined(
    labelled: Iterator[DetectionBatch], unlabelled: Iterator[UnlabelledObjects], without: int
) -> Iterator[DetectionBatch]:
    """Labelled batches with unlabelled images from batch number `without` on."""
    for number, batch in enumerate(labelled):
        yield batch if number < without else replace(batch, unlabelled=next(unlabelled))
