"""Text as tokens: the WordPiece tokenizer, the tokens of texts that are kept, and padding.

A pretrained text tower comes with its tokenizer; a tower built from configuration gets a WordPiece vocabulary built
from the training texts. The vocabulary is counted here and not by the library's trainer, which breaks ties
differently in every process: the same texts must give the same tokens.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

TAG_MARKER, PLOT_MARKER = "<TAG>", "<PLOT>"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LENGTH_BUCKETS = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192)
"""Texts are padded to one of these lengths, so that a compiled model sees few shapes."""
_LONGEST_PIECE = 4
_SMALLEST_COUNT = 2
"""A word that occurs only once in training is no better known than its pieces."""
_TEXTS_KEPT = 200_000
"""Texts whose tokens are kept: with random subsets of tags there is a new one every time."""
_TOKENIZING = threading.Lock()
"""A tokenizer refuses a second thread while it is set to a length."""


def build_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Build a WordPiece tokenizer of at most `vocabulary` entries, the same for the same texts.

    It has every character, at the start of a word and inside one; three quarters of the remaining entries are the most
    frequent words, one quarter the most frequent word endings.
    """
    words = _count_words(texts)
    characters = sorted({character for word in words for character in word})
    pieces = [*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)]
    remaining = max(vocabulary - len(pieces) - 2, 0)  # two markers are added below
    frequent = [word for word, count in _by_count(words) if count >= _SMALLEST_COUNT and len(word) > 1]
    endings = _by_count(_count_endings(words))
    selected = frequent[: remaining - remaining // 4]
    selected += [f"##{ending}" for ending, _ in endings[: remaining - len(selected)]]
    vocabulary_ids = {piece: number for number, piece in enumerate(dict.fromkeys([*pieces, *selected]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary_ids, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary_ids[name]) for name in ("[CLS]", "[SEP]")]
    )
    return with_markers(tokenizer)


def with_markers(tokenizer: Tokenizer) -> Tokenizer:
    """Add `<TAG>` and `<PLOT>` as one token each, matched before lower-casing; returns the tokenizer.

    In a tokenizer of byte pairs (RoBERTa) the space before a marker belongs to it, or it would be a token of its own.
    """
    takes_space = isinstance(tokenizer.model, models.BPE)
    added = [AddedToken(marker, normalized=False, lstrip=takes_space) for marker in (TAG_MARKER, PLOT_MARKER)]
    tokenizer.add_special_tokens(added)
    return tokenizer


def highest_id(tokenizer: Tokenizer) -> int:
    """Return the highest token id, the markers' included; ids of a pretrained vocabulary may have gaps."""
    return max(tokenizer.get_vocab().values())


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[np.ndarray]:
    """Return the token ids of each text, int32, truncated on the right to `max_tokens` including the end marker."""
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    return [np.asarray(encoding.ids, np.int32) for encoding in tokenizer.encode_batch(list(texts))]


class TextTokens:
    """The token ids of texts, which are kept for the next time."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer, self._max_tokens = tokenizer, max_tokens
        self._kept: dict[str, NDArray[np.int32]] = {}

    def of(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Return the token ids of each text."""
        if new := [text for text in dict.fromkeys(texts) if text not in self._kept]:
            if len(self._kept) + len(new) > _TEXTS_KEPT:
                self._kept = {}
                new = list(dict.fromkeys(texts))
            with _TOKENIZING:
                encoded = encode_texts(self._tokenizer, new, self._max_tokens)
            self._kept |= zip(new, encoded, strict=True)
        return [self._kept[text] for text in texts]


def pad_tokens(rows: Sequence[np.ndarray], max_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """Return token ids as one int64 array [rows, length] and its bool mask; length is the smallest bucket that fits.

    Padding is 0 here; a text tower puts its own padding id there by the mask.
    """
    longest = max(len(row) for row in rows)
    length = min(next((bucket for bucket in LENGTH_BUCKETS if bucket >= longest), longest), max(max_tokens, longest))
    tokens = np.zeros((len(rows), length), np.int64)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = ids
    return tokens, np.arange(length) < np.array([len(row) for row in rows])[:, None]


def _count_words(texts: Iterable[str]) -> Counter[str]:
    normalise = normalizers.BertNormalizer(lowercase=True).normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split(normalise(text)))
    return counts


def _count_endings(words: Counter[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for size in range(2, min(_LONGEST_PIECE, len(word) - 1) + 1):
            counts[word[-size:]] += count
    return counts


def _by_count(counts: Counter[str]) -> list[tuple[str, int]]:
    """Sort by count, largest first; ties alphabetically, so that the result does not depend on hashing."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
