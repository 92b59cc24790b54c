"""A tokenizer of whole words, for language models that start from nothing."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ...modeling import SegEarthR1Processor

UNKNOWN, END = "<unk>", "<|endoftext|>"


def word_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer that knows the words and signs of texts, `[PAD]` and `[SEG]`; case does not matter.

    The same texts, in any order, always give the same numbers.
    """
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {word: number for number, word in enumerate([UNKNOWN, END, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = splitter
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token=UNKNOWN, eos_token=END, bos_token=END, clean_up_tokenization_spaces=False
    )
    SegEarthR1Processor.add_tokens(tokenizer)
    return tokenizer
