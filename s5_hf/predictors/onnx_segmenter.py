"""An ONNX file as the network of a scene: onnxruntime in place of torch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from ..export.metadata import ExportMetadata
from ..export.onnx_file import INPUT, OUTPUT, open_session
from ..hub.normalization import require_normalization
from ..modeling.value_scaling import ValueScaling

__all__ = ["OnnxSegmenter"]


class OnnxSegmenter:
    """An exported segmenter with what `segment_scene` asks of one (`s5_hf.predictors.interfaces`).

    Args:
        path: a file written by `s5-hf export --format onnx`.
        providers: of onnxruntime, best first; by default all that are installed, a GPU before the CPU. Arrays come
            and go through the main memory in any case.

    Attributes:
        name: the path.
        metadata: what the file says about itself.
        num_labels, id2label, image_mean, image_std, value_scaling, bands, device, fingerprint: of the protocol.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if onnxruntime is missing.
        ValueError: if it is not an ONNX file of this package, or has a normalisation that divides by 0.
    """

    def __init__(self, path: str | Path, providers: Sequence[str] | None = None) -> None:
        self._session = open_session(path, providers)
        self.name = str(path)
        self.metadata = ExportMetadata.from_strings(self._session.get_modelmeta().custom_metadata_map, path)
        self.id2label = dict(enumerate(self.metadata.labels))
        self.num_labels = len(self.id2label)
        # The protocol's images are on the scale 0..1, those of the file on that of its rescale factor.
        scale = 255 * self.metadata.rescale_factor
        self.image_mean = tuple(value / scale for value in self.metadata.image_mean)
        self.image_std = tuple(value / scale for value in self.metadata.image_std)
        require_normalization(self.image_mean, self.image_std, path)
        scaling, self.bands = self.metadata.value_scaling, self.metadata.bands
        self.value_scaling = None if scaling is None else ValueScaling.from_dict(scaling)
        self.device = torch.device("cpu")
        self.fingerprint = _digest(Path(path))

    def predict(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Logits float32 `(batch, num_labels, height, width)` of normalised images `(batch, channels, height, width)`.

        Raises:
            ValueError: if height or width is not a multiple of the model's patch size.
        """
        multiple = self.metadata.size_multiple
        if pixel_values.shape[2] % multiple or pixel_values.shape[3] % multiple:
            raise ValueError(
                f"height and width must be multiples of {multiple}, got {pixel_values.shape[2]} x "
                f"{pixel_values.shape[3]}"
            )
        array = pixel_values.to(self.device, torch.float32).contiguous().numpy()
        return torch.from_numpy(self._session.run([OUTPUT], {INPUT: array})[0])


def _digest(path: Path) -> str:
    """SHA-256 over the file and, where there are any, the weights beside it."""
    digest = hashlib.sha256()
    for part in (path, path.with_name(path.name + ".data")):
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(2**22):
                    digest.update(block)
    return digest.hexdigest()
