"""Names of the official S5 release and of this package, one for one: encoders, segmenters and detectors.

Every tensor of an official checkpoint has its place here, even the two that no code ever uses (`cls_token`,
`conv_seg`), so the way back gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence

import torch

# One rule a line, alike because they are data, as in unimatch_v2_layout.py.
ENCODER_NAMES: tuple[tuple[str, str], ...] = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.projection\.", "patch_embed.projection."),
    (r"^encoder\.layers\.(\d+)\.attention_norm\.", r"layers.\1.ln1."),
    (r"^encoder\.layers\.(\d+)\.attention\.qkv\.(weight|bias)$", r"layers.\1.attn.attn.in_proj_\2"),
    (r"^encoder\.layers\.(\d+)\.attention\.projection\.", r"layers.\1.attn.attn.out_proj."),
    (r"^encoder\.layers\.(\d+)\.feed_forward_norm\.", r"layers.\1.ln2."),
    (r"^encoder\.layers\.(\d+)\.feed_forward\.fc1\.", r"layers.\1.ffn.layers.0.0."),
    (r"^encoder\.layers\.(\d+)\.feed_forward\.fc2\.", r"layers.\1.ffn.layers.1."),
    (r"^encoder\.layers\.(\d+)\.feed_forward\.experts\.", r"layers.\1.ffn.experts."),
    (r"^feature_pyramid\.stride4_first\.", "fpn1.0."),
    (r"^feature_pyramid\.stride4_norm\.", "fpn1.1.ln."),
    (r"^feature_pyramid\.stride4_second\.", "fpn1.3."),
    (r"^feature_pyramid\.stride8\.", "fpn2.0."),
)

DECODER_NAMES: tuple[tuple[str, str], ...] = (
    (r"^unused_classifier_(weight|bias)$", r"conv_seg.\1"),
    (r"^pool_convs\.(\d+)\.", r"psp_modules.\1.1."),
    (r"^pool_bottleneck\.", "bottleneck."),
    (r"^lateral_convs\.", "lateral_convs."),
    (r"^level_convs\.", "fpn_convs."),
    (r"^fusion\.", "fpn_bottleneck."),
)

DETECTOR_NAMES: tuple[tuple[str, str], ...] = (
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

# The release writes this one task with capitals.
OFFICIAL_SPELLING = {"openearthmap": "OpenEarthMap"}


def encoder_name(name: str) -> str:
    """The official name of a tensor of `S5ViTBackbone`."""
    return rename(name, ENCODER_NAMES)


def segmenter_name(name: str, tasks: Sequence[str]) -> str:
    """The official name of a tensor of `S5ForSemanticSegmentation` with these tasks.

    With several tasks the first decoder has no suffix (it is Vaihingen's), while every head has one.
    """
    if name.startswith("backbone."):
        return "encoder." + encoder_name(name.removeprefix("backbone."))
    module, index, rest = name.split(".", 2)
    task = OFFICIAL_SPELLING.get(tasks[int(index)], tasks[int(index)])
    if module == "classifiers":
        return f"semseghead_{task}.1.{rest}" if len(tasks) > 1 else f"semseghead.1.{rest}"
    decoder = f"semsegdecoder_{task}" if int(index) > 0 else "semsegdecoder"
    return f"{decoder}.decode_head.{rename(rest, DECODER_NAMES).replace('.norm.', '.bn.')}"


def detector_name(name: str, tasks: Sequence[str]) -> str:
    """The official name of a tensor of `S5ForOrientedObjectDetection` with these tasks; one task has no suffix."""
    if name.startswith("backbone."):
        return "backbone." + encoder_name(name.removeprefix("backbone."))
    module, index, rest = name.split(".", 2)
    suffix = f"_{tasks[int(index)]}" if len(tasks) > 1 else ""
    return rename(f"{module}.{rest}", DETECTOR_NAMES).replace("{task}", suffix)


def heads_of(state: Mapping[str, torch.Tensor], prefix: str, suffix: str) -> dict[str, int]:
    """Rows of every head `<prefix>_<task><suffix>` by its task, in the release's spelling and order.

    A single head has no task: `{"": rows}`.

    Raises:
        ValueError: if there is no head at all.
    """
    heads = {
        name.removeprefix(prefix).removesuffix(suffix).removeprefix("_"): tensor.shape[0]
        for name, tensor in state.items()
        if re.fullmatch(rf"{re.escape(prefix)}(_.+)?{re.escape(suffix)}", name)
    }
    if not heads:
        raise ValueError(f"the checkpoint's tensors do not fit; missing: {prefix}{suffix}")
    return {task: rows for task, rows in heads.items() if task} or heads


def rename(name: str, table: Sequence[tuple[str, str]]) -> str:
    """Apply the one rule of `table` that fits `name`."""
    for pattern, replacement in table:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    raise ValueError(f"the official layout has no place for the tensor {name!r}")
