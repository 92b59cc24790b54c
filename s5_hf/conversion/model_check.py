"""Loading a complete model: every weight comes from its files, and every weight is a number.

`from_pretrained` fills weights that the files lack with random values and reads whatever numbers they hold. That is
right where training starts, and wrong where a model is used: its maps would look plausible.
"""

import logging
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel

SHOWN_NAMES = 5


def load_checked(model_class: type, source: str | Path, **kwargs: Any) -> PreTrainedModel:
    """Load a model with `model_class.from_pretrained`, or refuse it: nothing in it is random and nothing is left out.

    Args:
        model_class: a model class or an Auto class.
        source: a folder, a repository of the Hub or a known name.
        **kwargs: further arguments of `from_pretrained`. Weights that it offloads to disk are not read.

    Returns:
        The model, as `from_pretrained` gives it (in eval mode).

    Raises:
        ValueError: if weights are missing, superfluous or of another shape than the configuration asks for, if any is
            not finite, or if the file cannot be read; the message names them.
        OSError: if there is no such model.
    """
    try:
        with silent_load_report():
            model, report = model_class.from_pretrained(
                source, output_loading_info=True, **{"ignore_mismatched_sizes": True, **kwargs}
            )
    except (SafetensorError, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"{source}: the file of the weights is damaged or truncated: {error}") from error
    mis_shaped = [
        f"{name} {tuple(found)} instead of {tuple(expected)}" for name, found, expected in report["mismatched_keys"]
    ]
    problems = [
        listed(title, names)
        for title, names in (
            ("missing", report["missing_keys"]),
            ("without a place", report["unexpected_keys"]),
            ("of another shape", mis_shaped),
        )
        if names
    ]
    if problems:
        raise ValueError(f"{source}: the weights do not fit config.json; {'; '.join(problems)}")
    require_finite_weights(model, source)
    return model


def require_finite_weights(model: nn.Module, source: str | Path) -> None:
    """Raise a ValueError that names the weights (parameters and saved buffers) holding NaN or infinity.

    Args:
        model: any module. Tensors on the meta device hold no numbers and are passed over.
        source: what the message calls the model.
    """
    broken = [name for name, tensor in model.state_dict().items() if not is_finite(tensor)]
    if broken:
        raise ValueError(
            f"{source}: the weights are not finite (NaN or infinity), so every output would be invalid; "
            f"{listed('not finite', broken)}"
        )


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds finite numbers only."""
    return tensor.is_meta or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def listed(title: str, names: Iterable[str]) -> str:
    """How many names there are, and the first of them."""
    ordered = sorted(names)
    more = ", ..." if len(ordered) > SHOWN_NAMES else ""
    return f"{title} ({len(ordered)}): {', '.join(ordered[:SHOWN_NAMES])}{more}"


def is_not_load_report(record: logging.LogRecord) -> bool:
    """Whether a log record is anything but the table of misfits that transformers prints."""
    return "LOAD REPORT" not in record.getMessage()


@contextmanager
def silent_load_report() -> Iterator[None]:
    """Keep back the table of misfits that transformers logs: the error says it in one line."""
    logger = logging.getLogger("transformers.modeling_utils")
    # A filter, not a higher level, because transformers reads a raised level as a wish for other messages.
    logger.addFilter(is_not_load_report)
    try:
        yield
    finally:
        logger.removeFilter(is_not_load_report)


__all__ = ["load_checked", "require_finite_weights"]
