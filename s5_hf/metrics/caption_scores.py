"""Scores of captions: BLEU, ROUGE-L, CIDEr-D and METEOR, of tokens that may be words or numbers.

A caption is a sequence of tokens without those that mark its beginning and end. The formulas are those of the COCO
caption evaluation (arXiv 1504.00325), on tokens as they are: no tokenizer is run before. METEOR has its exact matches
only, not stems and synonyms, which need the word lists of a language.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .sums import Sums

__all__ = ["Caption", "bleu", "caption_scores_of", "cider_d", "meteor", "rouge_l"]

Caption = Sequence[Hashable]

MOST_WORDS = 4  # of the n-grams
ROUGE_BETA = 1.2
CIDER_SIGMA = 6.0
METEOR_ALPHA, METEOR_BETA, METEOR_GAMMA = 0.85, 0.2, 0.6  # of METEOR 1.5 for English
METEOR_BEAM = 40
_TINY, _SMALL = 1e-15, 1e-9  # of the COCO evaluation, against 0 / 0


def caption_scores_of(references: Sequence[Sequence[Caption]], captions: Sequence[Caption]) -> dict[str, float]:
    """All scores of captions: `bleu_1` to `bleu_4`, `meteor`, `rouge_l` and `cider`.

    Args:
        references: one or more of each caption.
        captions: what is scored.

    Raises:
        ValueError: there are no captions, or not as many as lists of references, or one has no reference.
    """
    _require_pairs(references, captions)
    return {
        **{f"bleu_{n}": score for n, score in enumerate(bleu(references, captions), start=1)},
        "meteor": meteor(references, captions),
        "rouge_l": sum(map(rouge_l, references, captions)) / len(captions),
        "cider": sum(cider_d(references, captions)) / len(captions),
    }


def bleu(references: Sequence[Sequence[Caption]], captions: Sequence[Caption]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus (Papineni et al., 2002), 0..1."""
    _require_pairs(references, captions)
    right, tried = [0] * MOST_WORDS, [0] * MOST_WORDS
    length, wanted = 0, 0
    for of_caption, caption in zip(references, captions, strict=True):
        length += len(caption)
        wanted += min((abs(len(reference) - len(caption)), len(reference)) for reference in of_caption)[1]
        for n in range(1, MOST_WORDS + 1):
            most: Counter[Caption] = Counter()
            for reference in of_caption:
                most |= n_grams(reference, n)
            found = n_grams(caption, n)
            right[n - 1] += (found & most).total()
            tried[n - 1] += max(0, len(caption) - n + 1)
    ratio = (length + _TINY) / (wanted + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    scores, product = [], 1.0
    for n in range(MOST_WORDS):
        product *= (right[n] + _TINY) / (tried[n] + _SMALL)
        scores.append(product ** (1 / (n + 1)) * penalty)
    return scores


def rouge_l(references: Sequence[Caption], caption: Caption) -> float:
    """ROUGE-L of a caption, 0..1: F of the longest common subsequence.

    Precision and recall are each those of the best reference, as in the COCO evaluation.
    """
    common = [_common_length(reference, caption) for reference in references]
    precision = max(found / len(caption) if caption else 0.0 for found in common)
    recall = max(
        found / len(reference) if reference else 0.0 for found, reference in zip(common, references, strict=True)
    )
    if not precision or not recall:
        return 0.0
    squared = ROUGE_BETA**2
    return (1 + squared) * precision * recall / (recall + squared * precision)


def cider_d(references: Sequence[Sequence[Caption]], captions: Sequence[Caption]) -> list[float]:
    """CIDEr-D of every caption (arXiv 1411.5726), 0..10; how rare an n-gram is follows from these references."""
    _require_pairs(references, captions)
    frequency: Counter[Caption] = Counter()
    for of_caption in references:
        frequency.update({gram for reference in of_caption for gram in _all_grams(reference)})
    # With one caption every n-gram is in all of them; the published code counts it as e captions then.
    documents = math.log(len(references)) if len(references) > 1 else 1.0

    def vectors(caption: Caption) -> list[dict[Caption, float]]:
        return [
            {gram: count * (documents - math.log(max(1, frequency[gram]))) for gram, count in found.items()}
            for found in (n_grams(caption, n) for n in range(1, MOST_WORDS + 1))
        ]

    scores = []
    for of_caption, caption in zip(references, captions, strict=True):
        own = vectors(caption)
        total = 0.0
        for reference in of_caption:
            gap = max(0, len(caption) - 1) - max(0, len(reference) - 1)
            closeness = sum(_clipped_cosine(*pair) for pair in zip(own, vectors(reference), strict=True)) / MOST_WORDS
            total += closeness * math.exp(-(gap**2) / (2 * CIDER_SIGMA**2))
        scores.append(10 * total / len(of_caption))
    return scores


@dataclass(frozen=True)
class _Alignment(Sums):
    """Matches of a caption with a reference, and lengths; they add up."""

    matches: int = 0
    caption: int = 0
    reference: int = 0
    chunks: int = 0

    @property
    def score(self) -> float:
        """METEOR."""
        if not self.matches:
            return 0.0
        precision, recall = self.matches / self.caption, self.matches / self.reference
        mean = precision * recall / (METEOR_ALPHA * precision + (1 - METEOR_ALPHA) * recall)
        return mean * (1 - METEOR_GAMMA * (self.chunks / self.matches) ** METEOR_BETA)


def meteor(references: Sequence[Sequence[Caption]], captions: Sequence[Caption]) -> float:
    """METEOR 1.5 of a corpus with exact matches only (Denkowski and Lavie, 2014), 0..1."""
    _require_pairs(references, captions)
    total = _Alignment()
    for of_caption, caption in zip(references, captions, strict=True):
        aligned = (_align(caption, reference) for reference in of_caption)
        total += max(aligned, key=lambda alignment: alignment.score)
    return total.score


def n_grams(caption: Caption, n: int) -> Counter[Caption]:
    """How often each run of n tokens occurs."""
    return Counter(tuple(caption[start : start + n]) for start in range(len(caption) - n + 1))


def _all_grams(caption: Caption) -> set[Caption]:
    return {gram for n in range(1, MOST_WORDS + 1) for gram in n_grams(caption, n)}


def _clipped_cosine(own: dict[Caption, float], reference: dict[Caption, float]) -> float:
    product = sum(min(value, reference.get(gram, 0.0)) * reference.get(gram, 0.0) for gram, value in own.items())
    norms = math.hypot(*own.values()) * math.hypot(*reference.values())
    return product / norms if norms else 0.0


def _common_length(one: Caption, other: Caption) -> int:
    """The length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in one:
        former, row = row, [0]
        for place, candidate in enumerate(other):
            row.append(former[place] + 1 if token == candidate else max(former[place + 1], row[place]))
    return row[-1]


def _align(caption: Caption, reference: Caption) -> _Alignment:
    """As many matches as there can be, in as few chunks as a beam search finds."""
    matches = (Counter(caption) & Counter(reference)).total()
    chunks = _fewest_chunks(caption, reference, matches)
    if matches == len(caption) == len(reference) and chunks == 1:
        chunks = 0  # the same sentence
    return _Alignment(matches, len(caption), len(reference), chunks)


def _fewest_chunks(caption: Caption, reference: Caption, matches: int) -> int:
    """Chunks of an alignment of that many matches; a chunk follows itself in both sentences."""
    if not matches:
        return 0
    places: dict[Hashable, list[int]] = {}
    for place, token in enumerate(reference):
        places.setdefault(token, []).append(place)
    paths: list[tuple[int, ...]] = [()]  # matched place of each token of the caption, -1 for none
    for token in caption:
        paths = [
            (*path, place)
            for path in paths
            for place in (*places.get(token, ()), -1)
            if place not in path or place < 0
        ]
        paths.sort(key=lambda path: (-_matched(path), _chunks(path)))
        paths = _diverse(paths)
    best = [path for path in paths if _matched(path) == matches]
    return min(map(_chunks, best))


def _diverse(paths: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The best paths of each number of matches: a match left out early may be needed late."""
    kept: Counter[int] = Counter()
    chosen = []
    for path in paths:
        kept[_matched(path)] += 1
        if kept[_matched(path)] <= METEOR_BEAM:
            chosen.append(path)
    return chosen


def _matched(path: Sequence[int]) -> int:
    return sum(place >= 0 for place in path)


def _chunks(path: Sequence[int]) -> int:
    following = sum(one >= 0 and other == one + 1 for one, other in pairwise(path))
    return _matched(path) - following


def _require_pairs(references: Sequence[Sequence[Caption]], captions: Sequence[Caption]) -> None:
    if not captions or len(references) != len(captions) or not all(references):
        raise ValueError(
            f"expected captions and one or more references of each, got {len(captions)} captions and "
            f"{len(references)} lists of references"
        )
