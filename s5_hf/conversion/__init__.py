"""Official S5 and MAE checkpoints to this package's folders, and back."""

from .checkpoint_files import read_checkpoint
from .convert import ConversionReport, convert_checkpoint, export_official

__all__ = ["ConversionReport", "convert_checkpoint", "export_official", "read_checkpoint"]
