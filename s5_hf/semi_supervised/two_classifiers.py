"""Two classifiers on one decoder: one for labels, one for pseudo-labels."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

LABELLED, PSEUDO = "labelled", "pseudo"


class TwoClassifiers(nn.Module):
    """Stands where a segmenter's classifier was. Alone it is that classifier.

    Inside `divided(count)` the first `count` images of a batch go to the labelled classifier and the others to the
    pseudo classifier; the labelled one sees those too, without a gradient, for its batch norm.

    Args:
        classifier: becomes the labelled one; the pseudo classifier is a copy with new weights.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.labelled = classifier
        self.pseudo = copy.deepcopy(classifier)
        for layer in self.pseudo.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        self.count: int | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Decoder maps `(batch, channels, ...)` to logits `(batch, classes, ...)`."""
        if self.count is None:
            return self.labelled(features)
        of_labels, of_pseudo_labels = features[: self.count], features[self.count :]
        logits = torch.cat([self.labelled(of_labels), self.pseudo(of_pseudo_labels)])
        with torch.no_grad():
            self.labelled(of_pseudo_labels)
        return logits

    @contextmanager
    def divided(self, count: int) -> Iterator[None]:
        """See the class."""
        self.count = count
        try:
            yield
        finally:
            self.count = None

    @torch.no_grad()
    def mix(self, share: float) -> None:
        """Parameters of the labelled classifier = share * pseudo + (1 - share) * labelled; statistics stay."""
        for own, other in zip(self.labelled.parameters(), self.pseudo.parameters(), strict=True):
            own.copy_(share * other + (1 - share) * own)


def without_pseudo_classifier(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of a segmenter with its labelled classifier alone, under the usual names."""
    prefix = "classifiers.0."
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(f"{prefix}{PSEUDO}.")}
    return {name.replace(f"{prefix}{LABELLED}.", prefix, 1): tensor for name, tensor in kept.items()}
