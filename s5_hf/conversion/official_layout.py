"""Names of the official S5 release and of this package, one for one.

Every tensor of an official checkpoint has its place here, also the two that no code ever uses (`cls_token`,
`conv_seg`), so the way back gives the same bytes.
"""

import re
from collections.abc import Iterable, Sequence

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

# The release writes this one task with capitals.
OFFICIAL_SPELLING = {"openearthmap": "OpenEarthMap"}


def encoder_name(name: str) -> str:
    """The official name of a tensor of `S5ViTBackbone`."""
    return rename(name, ENCODER_NAMES)


def segmenter_name(name: str, tasks: Sequence[str]) -> str:
    """The official name of a tensor of `S5ForSemanticSegmentation` with these tasks.

    With several tasks the first decoder has no suffix (it is Vaihingen's), every head has one.
    """
    if name.startswith("backbone."):
        return "encoder." + encoder_name(name.removeprefix("backbone."))
    module, index, rest = name.split(".", 2)
    task = OFFICIAL_SPELLING.get(tasks[int(index)], tasks[int(index)])
    if module == "classifiers":
        return f"semseghead_{task}.1.{rest}" if len(tasks) > 1 else f"semseghead.1.{rest}"
    decoder = f"semsegdecoder_{task}" if int(index) > 0 else "semsegdecoder"
    return f"{decoder}.decode_head.{rename(rest, DECODER_NAMES).replace('.norm.', '.bn.')}"


def tasks_of(names: Iterable[str]) -> list[str]:
    """The tasks of an official segmenter in the order of its heads; empty for a single head without a name."""
    spelling = {official: task for task, official in OFFICIAL_SPELLING.items()}
    tasks = []
    for name in names:
        match = re.match(r"^semseghead_(.+)\.1\.weight$", name)
        if match:
            tasks.append(spelling.get(match[1], match[1]))
    return tasks


def rename(name: str, table: Sequence[tuple[str, str]]) -> str:
    """Apply the one rule of `table` that fits `name`."""
    for pattern, replacement in table:
        renamed, count = re.subn(pattern, replacement, name)
        if count:
            return renamed
    raise ValueError(f"the official layout has no place for the tensor {name!r}")
