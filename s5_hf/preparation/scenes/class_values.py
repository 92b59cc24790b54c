"""The values that labels hold, held against the classes: those of no class, and classes that no value means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping

from .settings import LabelSettings

__all__ = ["check_class_values"]

_SHOWN = 12


def check_class_values(
    counts: Mapping[Hashable, int], ids: Mapping[Hashable, int], settings: LabelSettings, source: str, thing: str
) -> list[str]:
    """Check that the values of labels mean classes.

    Args:
        counts: how many polygons or pixels have each value.
        ids: the class id of each value that has one.
        settings: with the names of the classes, and whether values of no class may be there.
        source: what holds the values, for messages.
        thing: what has them: "polygon" or "pixel".

    Returns:
        Notes: values of no class that are left out, and classes that occur nowhere.

    Raises:
        ValueError: values of no class that may not be ignored, or no value of a class.
    """
    unknown = Counter({value: count for value, count in counts.items() if value not in ids})
    shown = ", ".join(f"{value} ({count:,})" for value, count in unknown.most_common(_SHOWN))
    if unknown and not settings.ignore_unknown:
        names = ((str(value), settings.names[class_id]) for value, class_id in ids.items())
        classes = ", ".join(name if value == name else f"{value} {name}" for value, name in names)
        raise ValueError(
            f"{source}: {unknown.total():,} {thing}s have values of no class: {shown}. Classes: {classes}. Say which "
            f"class these values mean, or leave such {thing}s out (ignore_unknown=True, --ignore-unknown)"
        )
    present = {ids[value] for value in counts if value in ids}
    if not present:
        raise ValueError(f"{source}: no {thing} has a class{f'; values: {shown}' if shown else ''}")
    notes = [f"{thing}s of no class, left out: {shown}"] if unknown else []
    return notes + [
        f"no {thing} has the class {name!r}"
        for class_id, name in enumerate(settings.names)
        if class_id not in present and name != settings.unlabelled
    ]
