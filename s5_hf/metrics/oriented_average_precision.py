"""Average precision of oriented boxes, as an `evaluate` module.

```python
from s5_hf.metrics import OrientedAveragePrecision

metric = OrientedAveragePrecision(labels=["plane", "ship"])
metric.add_image(
    "P0001",
    predictions={"boxes": [[50, 50, 20, 10, 0.3]], "scores": [0.9], "labels": [0]},
    references={"boxes": [[50, 51, 20, 10, 0.3]], "labels": [0], "difficult": [False]},
)
metric.compute()["map_50"]
```

`evaluate.load("path/to/s5_hf/metrics/oriented_average_precision.py", labels=[...])` gives the same object, offline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import datasets
import evaluate
import numpy as np
import torch

from s5_hf.metrics.average_precision import (
    PrecisionRecall,
    area_average_precision,
    eleven_point_average_precision,
    match_detections,
)
from s5_hf.modeling.oriented_boxes import check_oriented_boxes
from s5_hf.modeling.rotated_iou import rotated_iou

_DESCRIPTION = (
    "Mean average precision of oriented boxes with exact polygon IoU: VOC 2007 (11 points) and area under the curve."
)

_INPUTS = """
Args:
    predictions: per image, a mapping with boxes [N, 5] (cx, cy, w, h in pixels, theta in radians, clockwise on the
        screen), scores [N] and labels [N], class ids: what `post_process_oriented_object_detection` gives.
    references: per image, a mapping with boxes [M, 5], labels [M] (or class_labels, as the model takes them) and, if
        there are such, difficult [M], booleans: boxes that may be found but need not be.
    image_ids: per image, its name. An image that comes twice, as from a sampler that pads, counts once.
"""

_CITATION = """@article{everingham2010pascal,
  title={The PASCAL Visual Object Classes (VOC) Challenge},
  author={Everingham, Mark and Van Gool, Luc and Williams, Christopher K. I. and Winn, John and Zisserman, Andrew},
  journal={International Journal of Computer Vision},
  year={2010}
}"""

COCO_THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))

Detections = Mapping[str, object]


@dataclass(frozen=True)
class _JudgedImage:
    """What one image adds: its detections, best first, and whether each is right or ignored at each threshold."""

    scores: np.ndarray  # [N]
    labels: np.ndarray  # [N]
    right: np.ndarray  # [T, N]
    ignored: np.ndarray  # [T, N]
    references: np.ndarray  # [C], those that count

    def curve(self, row: int, label: int) -> PrecisionRecall:
        """Precision and recall of a class at the threshold number `row`."""
        ours = self.labels == label
        return PrecisionRecall.from_detections(
            self.scores[ours], self.right[row, ours], self.ignored[row, ours], int(self.references[label])
        )


class OrientedAveragePrecision(evaluate.Metric):
    """Average precision of oriented boxes, per class and in the mean.

    Each image is judged when it is added, and only the verdicts are kept. Those of several processes are combined
    by `state` and `merge`; the result does not depend on how the images were divided.

    Args:
        labels: class names in the order of their ids.
        iou_thresholds: at these a detection must reach a reference; 0.5, 0.55 .. 0.95 by default.
        official_recalls: compare the recalls of the 11 points in floating point, as the official release and the
            numbers published for DIOR-R do; see `eleven_point_average_precision`.
        settings: as of `evaluate.Metric`.

    Raises:
        ValueError: no labels, thresholds outside of (0, 1], or more than one process (see `merge`).
    """

    def __init__(
        self,
        labels: Sequence[str],
        iou_thresholds: Sequence[float] = COCO_THRESHOLDS,
        official_recalls: bool = False,
        **settings: object,
    ) -> None:
        if isinstance(labels, str) or len(labels) == 0:
            raise ValueError(f"labels must be a list of class names, got {labels!r}")
        if len(iou_thresholds) == 0 or not all(0 < threshold <= 1 for threshold in iou_thresholds):
            raise ValueError(f"iou_thresholds must lie in (0, 1], got {list(iou_thresholds)}")
        if settings.get("num_process", 1) != 1:
            raise ValueError("give each process a metric of its own, and put their state() together with merge()")
        super().__init__(**settings)
        self.labels = tuple(labels)
        self.iou_thresholds = tuple(float(threshold) for threshold in iou_thresholds)
        self.official_recalls = official_recalls
        self._images: dict[str, _JudgedImage] = {}
        self._unnamed = 0

    def _info(self) -> evaluate.MetricInfo:
        boxes = {
            "boxes": datasets.List(datasets.List(datasets.Value("float64"))),
            "labels": datasets.List(datasets.Value("int64")),
        }
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": {**boxes, "scores": datasets.List(datasets.Value("float64"))},
                    "references": {**boxes, "difficult": datasets.List(datasets.Value("bool"))},
                }
            ),
        )

    def __len__(self) -> int:
        """Number of images added."""
        return len(self._images)

    def add_image(self, image_id: str, predictions: Detections, references: Detections) -> None:
        """Judge the detections of one image; an image whose id is already known is skipped.

        Args:
            image_id: name of the image.
            predictions: boxes [N, 5], scores [N] and labels [N]: tensors, arrays or lists.
            references: boxes [M, 5], labels [M] and, optional, difficult [M].

        Raises:
            ValueError: a part is missing or of another length, or a box, a score or a label is invalid. Names the
                image and the index.
        """
        image_id = str(image_id)
        if image_id not in self._images:
            self._images[image_id] = self._judge(image_id, predictions, references)

    def add(self, *, prediction: Detections, reference: Detections, image_id: str | None = None) -> None:
        """Add one image; see `add_image`. Without an id every image counts."""
        if image_id is None:
            image_id = f"unnamed {self._unnamed:09d}"
            self._unnamed += 1
        self.add_image(image_id, prediction, reference)

    def add_batch(
        self,
        *,
        predictions: Sequence[Detections],
        references: Sequence[Detections],
        image_ids: Sequence[str] | None = None,
    ) -> None:
        """Add several images; see `add_image`. Without ids every image counts."""
        ids = [None] * len(predictions) if image_ids is None else image_ids
        if not len(predictions) == len(references) == len(ids):
            raise ValueError(
                f"predictions, references and image_ids must have the same length, "
                f"got {len(predictions)}, {len(references)} and {len(ids)}"
            )
        for prediction, reference, image_id in zip(predictions, references, ids, strict=True):
            self.add(prediction=prediction, reference=reference, image_id=image_id)

    def state(self) -> dict[str, object]:
        """Everything that was added, to be sent to another process (it can be pickled)."""
        if self._unnamed:
            raise ValueError(f"{self._unnamed} images were added without an id; to be merged, images need ids")
        return {"labels": self.labels, "iou_thresholds": self.iou_thresholds, "images": dict(self._images)}

    def merge(self, states: Iterable[Mapping[str, object]]) -> None:
        """Take over what metrics of other processes were given; images that are already known are skipped.

        Raises:
            ValueError: a state of a metric with other labels or thresholds.
        """
        for state in states:
            for name in ("labels", "iou_thresholds"):
                if state[name] != getattr(self, name):
                    raise ValueError(f"cannot merge a metric with {name} {state[name]} into {getattr(self, name)}")
            self._images = {**state["images"], **self._images}

    def precision_recall(self, iou_threshold: float = 0.5) -> dict[str, PrecisionRecall]:
        """The curve of every class over the images added so far, which stay.

        Raises:
            ValueError: nothing was added, or the threshold is not among `iou_thresholds`.
        """
        if iou_threshold not in self.iou_thresholds:
            raise ValueError(f"iou_threshold must be one of {list(self.iou_thresholds)}, got {iou_threshold}")
        verdicts = self._verdicts(self._sorted_images())
        row = self.iou_thresholds.index(iou_threshold)
        return {name: verdicts.curve(row, label) for label, name in enumerate(self.labels)}

    def compute(
        self,
        *,
        predictions: Sequence[Detections] | None = None,
        references: Sequence[Detections] | None = None,
        image_ids: Sequence[str] | None = None,
    ) -> dict[str, object]:
        """The average precision of all images added; the metric is then empty again.

        Returns:
            `map`: mean over the thresholds and the classes that have references, area under the curve;
            `map_voc07`: the same by the 11 points of VOC 2007;
            `map_50`, `map_50_voc07`: at IoU 0.5 (that is what DOTA and DIOR-R report), if it is a threshold;
            `per_threshold`: {threshold: {"map", "map_voc07"}};
            `per_class`: {name: {"ap", "ap_voc07", "ap_50", "ap_50_voc07", "references", "detections"}}.
            A class without references has NaN; so has a mean over no class.

        Raises:
            ValueError: nothing was added.
        """
        if predictions is not None or references is not None:
            self.add_batch(predictions=predictions or [], references=references or [], image_ids=image_ids)
        images = self._sorted_images()
        self._images, self._unnamed = {}, 0
        return self._summary(self._verdicts(images))

    def _sorted_images(self) -> list[_JudgedImage]:
        """In the order of their names, so that equal scores sort alike however the images came."""
        if not self._images:
            raise ValueError("no images were added: call add_image, add or add_batch first")
        return [self._images[image_id] for image_id in sorted(self._images)]

    def _judge(self, image_id: str, predictions: Detections, references: Detections) -> _JudgedImage:
        found = _read(predictions, ("boxes", "scores", "labels"), f"{image_id}: predictions", len(self.labels))
        wanted = _read(references, ("boxes", "labels", "difficult"), f"{image_id}: references", len(self.labels))
        order = np.argsort(-found["scores"], kind="stable")
        scores, labels, boxes = found["scores"][order], found["labels"][order], found["boxes"][torch.from_numpy(order)]
        difficult = wanted["difficult"]

        right = np.zeros((len(self.iou_thresholds), len(scores)), dtype=bool)
        ignored = right.copy()
        for label in np.intersect1d(labels, wanted["labels"]):
            ours, theirs = labels == label, wanted["labels"] == label
            overlaps = rotated_iou(boxes[torch.from_numpy(ours)], wanted["boxes"][torch.from_numpy(theirs)]).numpy()
            right[:, ours], ignored[:, ours] = match_detections(
                overlaps, difficult[theirs], np.array(self.iou_thresholds)
            )
        counts = np.bincount(wanted["labels"][~difficult], minlength=len(self.labels))
        return _JudgedImage(scores, labels, right, ignored, counts)

    def _verdicts(self, images: list[_JudgedImage]) -> _JudgedImage:
        """The same of all images, as if they were one."""
        return _JudgedImage(
            scores=np.concatenate([image.scores for image in images]),
            labels=np.concatenate([image.labels for image in images]),
            right=np.concatenate([image.right for image in images], axis=1),
            ignored=np.concatenate([image.ignored for image in images], axis=1),
            references=np.sum([image.references for image in images], axis=0),
        )

    def _summary(self, verdicts: _JudgedImage) -> dict[str, object]:
        labels, references = verdicts.labels, verdicts.references
        area, eleven = np.empty((2, len(self.iou_thresholds), len(self.labels)))
        for label in range(len(self.labels)):
            for row in range(len(self.iou_thresholds)):
                curve = verdicts.curve(row, label)
                area[row, label] = area_average_precision(curve)
                eleven[row, label] = eleven_point_average_precision(curve, self.official_recalls)

        present = references > 0
        results: dict[str, object] = {"map": _mean(area[:, present]), "map_voc07": _mean(eleven[:, present])}
        half = self.iou_thresholds.index(0.5) if 0.5 in self.iou_thresholds else None
        if half is not None:
            results |= {"map_50": _mean(area[half, present]), "map_50_voc07": _mean(eleven[half, present])}
        results["per_threshold"] = {
            threshold: {"map": _mean(area[row, present]), "map_voc07": _mean(eleven[row, present])}
            for row, threshold in enumerate(self.iou_thresholds)
        }
        results["per_class"] = {
            name: {
                "ap": float(area[:, label].mean()),
                "ap_voc07": float(eleven[:, label].mean()),
                **({} if half is None else {"ap_50": float(area[half, label])}),
                **({} if half is None else {"ap_50_voc07": float(eleven[half, label])}),
                "references": int(references[label]),
                "detections": int((labels == label).sum()),
            }
            for label, name in enumerate(self.labels)
        }
        return results


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _read(given: Detections, parts: tuple[str, ...], name: str, num_labels: int) -> dict:
    """Boxes (float64 tensor [N, 5]) and the other parts (arrays [N]) of one image, checked."""
    if "class_labels" in given and "labels" not in given:
        given = {**given, "labels": given["class_labels"]}
    if missing := [part for part in parts if part not in given and part != "difficult"]:
        raise ValueError(f"{name} lack {missing[0]!r}; given: {', '.join(given) or 'nothing'}")
    boxes = torch.as_tensor(given["boxes"]).detach().cpu().double()
    if boxes.numel() == 0:
        boxes = boxes.reshape(0, 5)
    check_oriented_boxes(boxes, f"{name}['boxes']")

    values: dict = {"boxes": boxes}
    for part, dtype in (("scores", np.float64), ("labels", np.int64), ("difficult", bool)):
        if part in parts:
            column = torch.as_tensor(given.get(part, np.zeros(len(boxes), dtype=bool))).detach().cpu()
            if column.shape != (len(boxes),):
                raise ValueError(f"{name}[{part!r}] must be [{len(boxes)}], one per box, got {tuple(column.shape)}")
            if part != "scores" and column.is_floating_point() and len(column):
                raise TypeError(f"{name}[{part!r}] must be whole numbers, got {column.dtype}")
            values[part] = column.double().numpy().astype(dtype)
    if "scores" in parts:
        finite = np.isfinite(values["scores"])
        if not finite.all():
            raise ValueError(f"{name}['scores'][{int(finite.argmin())}] is not finite")
    known = (values["labels"] >= 0) & (values["labels"] < num_labels)
    if not known.all():
        index = int(known.argmin())
        raise ValueError(f"{name}['labels'][{index}] is {values['labels'][index]}, but there are {num_labels} classes")
    return values
