"""Sentences to numbers of words: the tokenizer of MV-CC, as one of transformers.

A sentence is cut at blanks and before semicolons and commas; full stops and question marks go; upper and lower
case stay different. The official numbers are: 0 padding, 1 unknown, 2 beginning, 3 end, then the words in the order of
their letters.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

MARKS = ("<NULL>", "<UNK>", "<START>", "<END>")
LEAST_COUNT = 5  # of the official code


def caption_words(sentences: Iterable[str], least_count: int = LEAST_COUNT) -> list[str]:
    """The words of sentences that come often enough, after the four marks, in the order of their letters.

    Args:
        sentences: of the training images. The official code also counts those of validation and test.
        least_count: how often a word must come.
    """
    counts: Counter[str] = Counter()
    splitter = caption_tokenizer(MARKS)
    for sentence in sentences:
        counts.update(words_of(splitter, sentence))
    return [*MARKS, *sorted(word for word, count in counts.items() if count >= least_count)]


def words_of(tokenizer: PreTrainedTokenizerFast, sentence: str) -> list[str]:
    """The words of a sentence, whether known or not."""
    backend = tokenizer.backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(sentence))]


def caption_tokenizer(words: Iterable[str], max_length: int = 41) -> PreTrainedTokenizerFast:
    """A tokenizer of these words, the four marks first.

    Args:
        words: as `caption_words` gives them.
        max_length: of a caption with its marks.

    Raises:
        ValueError: the marks are missing, or a word comes twice.
    """
    listed = list(words)
    if tuple(listed[: len(MARKS)]) != MARKS or len(set(listed)) < len(listed):
        raise ValueError(f"expected words, each once, after the marks {', '.join(MARKS)}")
    null, unknown, start, end = MARKS
    backend = Tokenizer(models.WordLevel({word: index for index, word in enumerate(listed)}, unk_token=unknown))
    replacements = {"?": "", ".": "", ";": " ;", ",": " ,"}
    backend.normalizer = normalizers.Sequence([normalizers.Replace(*pair) for pair in replacements.items()])
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, listed.index(start)), (end, listed.index(end))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=null,
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
