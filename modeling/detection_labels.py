"""Labels of an oriented detector: what a user may give, and the checks that turn bad labels into readable errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch

from .host_values import on_device
from .oriented_boxes import check_oriented_boxes


@dataclass(frozen=True)
class ImageLabels:
    """The objects of one image, on the host unless moved: boxes float32 `(n, 5)` and class ids int64 `(n,)`.

    Attributes:
        weights: float32 `(n,)`, how much each object counts, where they are uncertain; else `None`.
        uncertain: float32 `(k, 5)`, boxes around which nothing is known, where objects are uncertain.
    """

    boxes: torch.Tensor
    classes: torch.Tensor
    weights: torch.Tensor | None = None
    uncertain: torch.Tensor | None = None

    @property
    def soft(self) -> bool:
        """Whether objects are uncertain, so that they count in part."""
        return self.weights is not None

    def on(self, device: torch.device) -> "ImageLabels":
        """The same on a device."""
        values = (getattr(self, field.name) for field in fields(self))
        return ImageLabels(*(None if value is None else on_device(value, device) for value in values))


def read_labels(labels: Sequence[Mapping[str, torch.Tensor]], batch_size: int) -> list[ImageLabels]:
    """Check the shapes and values of labels, except the range of the classes.

    Labels of the host stay there: it then need not ask the device for sizes and answers.

    Args:
        labels: per image a mapping with `"boxes"` `(n, 5)`, oriented boxes in pixels of the image, and
            `"class_labels"` `(n,)`. Images without objects have empty ones. With `"weights"` `(n,)`, 0 to 1, the
            objects are uncertain and count in part; around the boxes `"uncertain_boxes"` `(k, 5)` nothing is learned.

    Raises:
        ValueError: for another number of images, a missing entry, a wrong shape, or a box that is not finite or has
            a side that is not positive; the message names image and box.
    """
    if isinstance(labels, Mapping) or len(labels) != batch_size:
        given = "one mapping" if isinstance(labels, Mapping) else f"labels of {len(labels)} images"
        raise ValueError(f"got {given} for a batch of {batch_size} images; expected a list, one mapping per image")
    return [read_image_labels(image, index) for index, image in enumerate(labels)]


def read_image_labels(image: Mapping[str, torch.Tensor], index: int) -> ImageLabels:
    """The checked labels of image number `index`."""
    boxes, classes = read_objects(image, index)
    if "weights" not in image:
        if "uncertain_boxes" in image:
            raise ValueError(f"the labels of image {index} have uncertain_boxes, but no weights of its objects")
        return ImageLabels(boxes, classes)
    weights = torch.as_tensor(image["weights"]).cpu().float()
    if weights.shape != classes.shape:
        raise ValueError(f"image {index} has {len(classes)} boxes, but weights of the shape {tuple(weights.shape)}")
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError(f"labels[{index}]['weights'] must lie between 0 and 1, got {weights.tolist()}")
    uncertain = torch.as_tensor(image.get("uncertain_boxes", [])).cpu().float().reshape(-1, 5)
    check_oriented_boxes(uncertain, name=f"labels[{index}]['uncertain_boxes']")
    return ImageLabels(boxes, classes, weights, uncertain)


def read_objects(image: Mapping[str, torch.Tensor], index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The checked boxes and classes of image number `index`."""
    missing = [key for key in ("boxes", "class_labels") if key not in image]
    if missing:
        raise ValueError(f"the labels of image {index} have no {' and no '.join(missing)}, only {sorted(image)}")
    boxes = torch.as_tensor(image["boxes"]).cpu().float()
    classes = torch.as_tensor(image["class_labels"]).cpu()
    if not boxes.numel() and not classes.numel():
        return boxes.reshape(0, 5), classes.long().reshape(0)
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(f"the boxes of image {index} have the shape {tuple(boxes.shape)}, expected (n, 5)")
    if classes.shape != boxes.shape[:1]:
        raise ValueError(f"image {index} has {len(boxes)} boxes, but class_labels of the shape {tuple(classes.shape)}")
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise ValueError(f"the class_labels of image {index} must be integers, got {classes.dtype}")
    check_oriented_boxes(boxes, name=f"labels[{index}]['boxes']")
    flat = (boxes[:, 2:4] == 0).any(dim=1).nonzero().flatten().tolist()
    if flat:
        raise ValueError(f"labels[{index}]['boxes'][{flat[0]}] is {boxes[flat[0]].tolist()}: w and h must not be 0")
    return boxes, classes.long()


def check_classes(image: ImageLabels, index: int, num_labels: int, task: str) -> None:
    """Raise a ValueError that names image and box if a class id is not one of the task's."""
    wrong = ((image.classes < 0) | (image.classes >= num_labels)).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(
            f"labels[{index}]['class_labels'][{wrong[0]}] is {image.classes[wrong[0]].item()}, "
            f"task {task!r} expects 0..{num_labels - 1}"
        )
