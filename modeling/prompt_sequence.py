"""Prompts of SegEarth-R1 as tokens: what stands in the place of the image, of the question and of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

IMAGE, REFER, SEGMENT, ANSWER = -200, -204, -201, -205
"""Token ids of the places; `IMAGE` is that of every visual token once the places are filled."""
IGNORED = -100


@dataclass(frozen=True)
class PromptSequences:
    """A batch of prompts whose places are filled.

    Attributes:
        input_ids: int64 `(batch, tokens)`, padded on the right with 0; `IMAGE` where a visual token goes.
        attention_mask: bool of the same shape, False on padding.
        refer_mask: bool of the same shape, True on the tokens of the question.
        labels: int64 of the same shape, -100 where nothing is learned.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    refer_mask: torch.Tensor
    labels: torch.Tensor

    def as_inputs(self) -> dict[str, torch.Tensor]:
        """By the names of the arguments of the model."""
        return dict(vars(self))


def fill_places(
    input_ids: Sequence[Sequence[int]],
    labels: Sequence[Sequence[int]],
    refer_ids: Sequence[Sequence[int]],
    answer_ids: Sequence[Sequence[int]],
    visual_tokens: int,
) -> PromptSequences:
    """Put the image, the question and the answer into their places; that of the mask is dropped.

    Args:
        input_ids: of each prompt, with the ids of places.
        labels: of the same tokens; those of places do not matter: an answer is learned, and nothing else of them.
        refer_ids: tokens of the questions, the closing `[SEG]` among them.
        answer_ids: tokens of the answers.
        visual_tokens: of an image.

    Raises:
        ValueError: if a prompt has no place for its image and its question.
    """
    rows = []
    for ids, targets, refer, answer in zip(input_ids, labels, refer_ids, answer_ids, strict=True):
        if ids.count(IMAGE) != 1 or ids.count(REFER) != 1:
            raise ValueError(f"a prompt needs one place for the image ({IMAGE}) and one for the question ({REFER})")
        row: list[tuple[int, bool, int]] = []
        for token, target in zip(ids, targets, strict=True):
            if token == IMAGE:
                row += [(IMAGE, False, IGNORED)] * visual_tokens
            elif token == REFER:
                row += [(part, True, IGNORED) for part in refer]
            elif token == ANSWER:
                row += [(part, False, part) for part in answer]
            elif token != SEGMENT:
                row.append((token, False, target))
        rows.append(row)
    longest = max(map(len, rows))
    padded = torch.tensor([row + [(0, False, IGNORED)] * (longest - len(row)) for row in rows])
    present = torch.tensor([[index < len(row) for index in range(longest)] for row in rows])
    return PromptSequences(padded[..., 0], present, padded[..., 1].bool(), padded[..., 2])
