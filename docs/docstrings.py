"""Our docstrings for the reference: small differences between what reads well in the source and what is rendered."""

import re

GROUP = re.compile(
    r"^(?P<indent> +)(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)+): (?P<text>.*(?:\n(?P=indent) +\S.*)*)", re.MULTILINE
)
SECTION = re.compile(r"^(?:Args|Attributes):\n(?:(?: +.*)?\n?)*", re.MULTILINE)
BRACKETED = re.compile(r"\[(`[^`]+`)\](?![\[(])")


def split_groups(docstring: str) -> str:
    """One entry for each argument, where the source describes several at once: "height, width: in pixels".

    Otherwise the reference would show "height, width" as one argument that has no type.
    """

    def entries(group: re.Match) -> str:
        return "\n".join(f"{group['indent']}{name}: {group['text']}" for name in group["names"].split(", "))

    return SECTION.sub(lambda section: GROUP.sub(entries, section[0]), docstring)


def bare_names(docstring: str) -> str:
    """Names without the square brackets that the documentation builder of transformers turns into links."""
    return BRACKETED.sub(r"\1", docstring)
