"""The recurrence at the heart of Mamba, `state[t] = decay[t] * state[t - 1] + inputs[t]`, for long sequences.

One step after another costs as many small operations as the sequence has places, forward and backward. Here the
sequence is cut into about as many pieces as a piece has places: the steps run through all pieces at once, and what
each piece hands to the next is added afterwards. The work stays linear, the small operations become two square roots.
"""

import math
from typing import Any

import torch


def linear_recurrence(decay: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """All states of the recurrence, which starts from zero.

    Args:
        decay: `(batch, places, channels)`, 0 to 1.
        inputs: of the same shape.

    Returns:
        The states, of the same shape.
    """
    return _LinearRecurrence.apply(decay, inputs)


class _LinearRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, decay: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        states = _scan(decay, inputs)
        context.save_for_backward(decay, states)
        return states

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # The gradient of an input is the same recurrence from the end to the beginning, with the decays one place on.
        decay, states = context.saved_tensors
        next_decay = torch.cat([decay[:, 1:], torch.zeros_like(decay[:, :1])], dim=1)
        of_inputs = _scan(next_decay.flip(1), gradients[0].flip(1)).flip(1)
        of_decay = torch.zeros_like(decay)
        of_decay[:, 1:] = of_inputs[:, 1:] * states[:, :-1]
        return of_decay, of_inputs


def _scan(decay: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    batch, places, channels = inputs.shape
    length = max(1, math.isqrt(places))
    pieces = -(-places // length)
    padding = (0, 0, 0, pieces * length - places)
    decay, inputs = (
        torch.nn.functional.pad(values, padding).view(batch, pieces, length, channels) for values in (decay, inputs)
    )
    states, faded = torch.empty_like(inputs), torch.empty_like(decay)
    states[:, :, 0], faded[:, :, 0] = inputs[:, :, 0], decay[:, :, 0]
    for place in range(1, length):
        torch.addcmul(inputs[:, :, place], decay[:, :, place], states[:, :, place - 1], out=states[:, :, place])
        torch.mul(faded[:, :, place - 1], decay[:, :, place], out=faded[:, :, place])
    for piece in range(1, pieces):
        states[:, piece].addcmul_(faded[:, piece], states[:, piece - 1, -1:])
    return states.view(batch, pieces * length, channels)[:, :places]
