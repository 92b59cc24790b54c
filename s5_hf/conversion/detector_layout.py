"""Names of the official detectors and of this package, one for one."""

import re
from collections.abc import Iterable, Sequence

from .official_layout import encoder_name, rename

PART_NAMES: tuple[tuple[str, str], ...] = (
    (r"^necks\.lateral_convs\.(\d+)\.", r"neck{task}.lateral_convs.\1.conv."),
    (r"^necks\.level_convs\.(\d+)\.", r"neck{task}.fpn_convs.\1.conv."),
    (r"^rpn_heads\.conv\.", "rpn_head{task}.rpn_conv."),
    (r"^rpn_heads\.classifier\.", "rpn_head{task}.rpn_cls."),
    (r"^rpn_heads\.regressor\.", "rpn_head{task}.rpn_reg."),
    (r"^roi_heads\.hidden_first\.", "roi_head{task}.bbox_head.shared_fcs.0."),
    (r"^roi_heads\.hidden_second\.", "roi_head{task}.bbox_head.shared_fcs.1."),
    (r"^roi_heads\.classifier\.", "roi_head{task}.bbox_head.fc_cls."),
    (r"^roi_heads\.regressor\.", "roi_head{task}.bbox_head.fc_reg."),
)


def detector_name(name: str, tasks: Sequence[str]) -> str:
    """The official name of a tensor of `S5ForOrientedObjectDetection` with these tasks; one task has no suffix."""
    if name.startswith("backbone."):
        return "backbone." + encoder_name(name.removeprefix("backbone."))
    module, index, rest = name.split(".", 2)
    suffix = f"_{tasks[int(index)]}" if len(tasks) > 1 else ""
    return rename(f"{module}.{rest}", PART_NAMES).replace("{task}", suffix)


def detector_tasks_of(names: Iterable[str]) -> list[str]:
    """The tasks of an official detector in their order; empty for a single detector without a name."""
    matches = (re.match(r"^roi_head_(.+)\.bbox_head\.fc_cls\.weight$", name) for name in names)
    return [match[1] for match in matches if match]
