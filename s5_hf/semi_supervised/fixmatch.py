"""FixMatch for dense prediction: what S5 pre-trains with (arXiv 2508.12409, section "S4 Pre-training")."""

from dataclasses import dataclass

import torch
from torch import nn

from .batches import LabelledBatch, UnlabelledBatch
from .losses import supervised_loss
from .method import MethodOutput, register_method
from .teacher import TaughtMethod, taught_output


@register_method("fixmatch")
@dataclass
class FixMatch(TaughtMethod):
    """L = (Ls + Lu) / 2; the network, or an average of its weights, labels the weak views for the strong ones.

    Lu is the cross-entropy of the pixels whose pseudo-label has at least the threshold's probability, divided by the
    number of valid pixels. Labelled and strong images pass the network together. As published: threshold 0.95, the
    student as its own teacher, from step 0. In eval mode a new decoder is sure of nonsense until the running
    statistics of its batch norm have settled: `unlabelled_from_step` waits for them.
    """

    def __call__(
        self, model: nn.Module, labelled: LabelledBatch, unlabelled: UnlabelledBatch | None, step: int
    ) -> MethodOutput:
        own, views = self.label(model, unlabelled, step)
        logits = model(torch.cat([labelled.pixel_values, views[0].pixel_values])).logits
        count = len(labelled.labels)
        loss_supervised = supervised_loss(logits[:count], labelled.labels, labelled.count)
        return taught_output(self, step, loss_supervised, [logits[count:]], own, views, unlabelled.ignored)
