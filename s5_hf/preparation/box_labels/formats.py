"""The formats of box labels: their names, readers and writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import coco, dota, labelme, yolo
from .source import LabelSource
from .target import LabelTarget

__all__ = ["READERS", "WRITERS"]

READERS: Mapping[str, Callable[[LabelSource], list]] = MappingProxyType(
    {"dota": dota.read, "yolo-obb": yolo.read, "coco": coco.read, "labelme": labelme.read}
)
"""Name of a format to what reads it."""

WRITERS: Mapping[str, Callable[[LabelTarget], None]] = MappingProxyType(
    {"dota": dota.write, "yolo-obb": yolo.write, "coco": coco.write, "labelme": labelme.write}
)
"""Name of a format to what writes it."""
