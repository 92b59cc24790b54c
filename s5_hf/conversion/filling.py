"""Models made of the tensors of a checkpoint, all of which must have a place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from transformers import PretrainedConfig, PreTrainedModel

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion made: kind of checkpoint, configuration, source tensors left out, tensors made new."""

    kind: str
    config: PretrainedConfig
    left_out: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def fill(
    model_class: type[PreTrainedModel], config: PretrainedConfig, state: State, source_name: Callable[[str], str]
) -> PreTrainedModel:
    """A model of `config` with the tensors of `state`, in eval mode.

    Raises:
        ValueError: if tensors are missing, superfluous or of another shape; all are named.
    """
    with torch.device("meta"):
        model = model_class(config)
    expected = {source_name(name): (name, tensor.shape) for name, tensor in model.state_dict().items()}
    check_fit(state, {name: shape for name, (_, shape) in expected.items()})
    model.load_state_dict({name: state[source] for source, (name, _) in expected.items()}, assign=True)
    return model.eval()


def check_fit(state: State, expected: Mapping[str, torch.Size]) -> None:
    """Raise a ValueError that names every tensor that is missing, superfluous or of another shape."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    mis_shaped = [
        f"{name}: {tuple(state[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in state and state[name].shape != shape
    ]
    problems = [
        f"{title} ({len(names)}): {', '.join(names)}"
        for title, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", mis_shaped))
        if names
    ]
    if problems:
        raise ValueError("the checkpoint's tensors do not fit; " + "; ".join(problems))
