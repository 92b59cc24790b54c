"""How a sample becomes an answer, a caption or a translation: as the model's own processor prepares it."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocols import EvaluationProtocol
from ..settings import EvaluationSettings

__all__ = ["SampleProtocol", "require_plain"]

ONLY_FOR_OTHERS = ("task", "left_out", "leave_out_absent", "by_position", "apply_class_map", "classes", "names")


@dataclass(frozen=True)
class SampleProtocol(EvaluationProtocol):
    """The one way in which such models are evaluated.

    Args:
        name: of the protocol.
        in_words: what is compared with what.
    """

    name: str = "published"
    in_words: str = ""

    def describe(self) -> str:
        """One line for a report."""
        return self.in_words


def require_plain(settings: EvaluationSettings, what: str, allowed: frozenset[str] = frozenset()) -> None:
    """Raise a ValueError for settings that mean nothing for a model.

    Args:
        settings: of the evaluation.
        what: the model does, in words.
        allowed: of `kind` and `beams`, those that mean something.
    """
    changed = [name for name, value in settings.protocol_changes.items() if value is not None]
    changed += [name for name in ONLY_FOR_OTHERS if getattr(settings, name)]
    changed += [name for name in ("class_maps", "detections") if getattr(settings.loop, name) is not None]
    changed += [
        name
        for name, usual in (("kind", None), ("beams", 1))
        if getattr(settings, name) != usual and name not in allowed
    ]
    if settings.precision != "fp32":
        changed.append("precision")
    if settings.protocol != "published":
        changed.append("protocol")
    if changed:
        raise ValueError(f"{', '.join(changed)}: not for a model that {what}, which has one protocol, in float32")
