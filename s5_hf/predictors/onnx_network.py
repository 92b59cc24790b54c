"""What every ONNX file needs before it predicts: its session, task, normalisation and fingerprint."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from ..export.metadata import ExportMetadata, Kind
from ..export.onnx_file import open_session
from ..hub.normalization import require_normalization
from ..modeling.value_scaling import ValueScaling

__all__ = ["OnnxNetwork"]

_COMMANDS = {"segmentation": "s5-hf predict", "objects": "s5-hf detect", "boxes": "s5-hf detect"}


class OnnxNetwork:
    """An exported model; arrays come and go through the main memory, wherever it runs.

    Args:
        path: a file written by `s5-hf export --format onnx`.
        kinds: of output, those that are taken.
        providers: of onnxruntime, best first; by default all that are installed, a GPU before the CPU.
        task: if given, the one that the file must be for.

    Attributes:
        name: the path.
        metadata: what the file says about itself.
        labels, image_mean, image_std, value_scaling, bands, device, fingerprint: see `NormalizedInput`.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if onnxruntime is missing.
        ValueError: if it is not an ONNX file of this package, is for another kind of output or another task, or has a
            normalisation that divides by 0.
    """

    def __init__(
        self,
        path: str | Path,
        kinds: Sequence[Kind],
        providers: Sequence[str] | None = None,
        task: str | None = None,
    ) -> None:
        self._session = open_session(path, providers)
        self.name = str(path)
        self.metadata = ExportMetadata.from_strings(self._session.get_modelmeta().custom_metadata_map, path)
        if self.metadata.kind not in kinds:
            what = "a segmenter" if self.metadata.kind == "segmentation" else "an oriented detector"
            raise ValueError(f"{path} holds {what}: `{_COMMANDS[self.metadata.kind]}` runs it")
        if task not in (None, self.metadata.task):
            raise ValueError(f"{path} has no task {task!r}; it was exported for {self.metadata.task}")
        self.labels = self.metadata.labels
        # The protocol's images are on the scale 0..1, those of the file on that of its rescale factor.
        scale = 255 * self.metadata.rescale_factor
        self.image_mean = tuple(value / scale for value in self.metadata.image_mean)
        self.image_std = tuple(value / scale for value in self.metadata.image_std)
        require_normalization(self.image_mean, self.image_std, path)
        scaling, self.bands = self.metadata.value_scaling, self.metadata.bands
        self.value_scaling = None if scaling is None else ValueScaling.from_dict(scaling)
        self.device = torch.device("cpu")
        self.fingerprint = _digest(Path(path))


def _digest(path: Path) -> str:
    """SHA-256 over the file and, where there are any, the weights beside it."""
    digest = hashlib.sha256()
    for part in (path, path.with_name(path.name + ".data")):
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(2**22):
                    digest.update(block)
    return digest.hexdigest()
