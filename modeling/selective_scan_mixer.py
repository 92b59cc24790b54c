"""Mamba's mixer with a scan that is quick on any device: keys and numbers are those of transformers' `MambaMixer`."""

import torch
from torch.nn import functional
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from .linear_recurrence import linear_recurrence


class SelectiveScanMixer(MambaMixer):
    """Mixes sequences from their beginning to their end (arXiv 2312.00752, section 3.5).

    Args:
        hidden_size: of a place of the sequences.
        state_size, conv_kernel, expand: as in `MambaConfig`.
    """

    def __init__(self, hidden_size: int, state_size: int, conv_kernel: int, expand: int) -> None:
        config = MambaConfig(
            hidden_size=hidden_size,
            state_size=state_size,
            conv_kernel=conv_kernel,
            expand=expand,
            num_hidden_layers=1,
        )
        super().__init__(config, layer_idx=0)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """`(batch, places, hidden_size)` to the same shape."""
        places = hidden_states.shape[1]
        mixed, gate = self.in_proj(hidden_states).transpose(1, 2).chunk(2, dim=1)
        mixed = functional.silu(self.conv1d(mixed)[:, :, :places]).transpose(1, 2)
        sizes = [self.time_step_rank, self.ssm_state_size, self.ssm_state_size]
        time_step, into_state, out_of_state = self.x_proj(mixed).split(sizes, dim=-1)
        time_step = functional.softplus(self.dt_proj(time_step))
        # (batch, places, inner, state), flattened for the scan
        decay = (-self.A_log.exp() * time_step[..., None]).exp()
        inputs = (time_step * mixed)[..., None] * into_state[:, :, None]
        states = linear_recurrence(decay.flatten(2), inputs.flatten(2)).view_as(decay)
        scanned = torch.einsum("bpis,bps->bpi", states, out_of_state) + mixed * self.D
        return self.out_proj(scanned * functional.silu(gate.transpose(1, 2)))
