"""A tokenizer that is the same in every process."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from training.data.tokenizer import build_tokenizer, encode_texts, pad_tokens

TEXTS = ["The cellar was dark and the house was silent.", "A wedding in the house, then a chase!"] * 3


def test_each_marker_is_one_token_in_any_text() -> None:
    tokenizer = build_tokenizer(TEXTS, 200)
    tokens = tokenizer.encode("<TAG> dark <PLOT> The House").tokens
    assert tokens == ["[CLS]", "<TAG>", "dark", "<PLOT>", "the", "house", "[SEP]"]


def test_an_unknown_word_is_split_and_an_unknown_character_is_the_unknown_token() -> None:
    tokenizer = build_tokenizer(TEXTS, 200)
    assert "[UNK]" not in tokenizer.encode("wedhouse").tokens
    assert tokenizer.encode("ξ").tokens == ["[CLS]", "[UNK]", "[SEP]"]


def test_the_vocabulary_is_the_same_in_every_process_and_within_its_limit() -> None:
    program = (
        "from training.data.tokenizer import build_tokenizer\n"
        f"print(build_tokenizer({TEXTS!r}, 80).to_str())"
    )  # fmt: skip
    root = Path(__file__).parents[3]
    tokenizers = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, cwd=root, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(tokenizers) == 1
    assert build_tokenizer(TEXTS, 80).get_vocab_size() <= 80


def test_a_film_without_tag_or_plot_still_has_tokens() -> None:
    tokenizer = build_tokenizer(TEXTS, 200)
    (row,) = encode_texts(tokenizer, [""], 16)
    assert tokenizer.decode(row.tolist(), skip_special_tokens=False) == "[CLS] [SEP]"


def test_long_texts_are_truncated_and_padded_to_buckets() -> None:
    tokenizer = build_tokenizer(TEXTS, 200)
    rows = encode_texts(tokenizer, [TEXTS[0] * 20, "house"], 40)
    assert [len(row) for row in rows] == [40, 3]
    assert rows[0][-1] == tokenizer.token_to_id("[SEP]")
    tokens, mask = pad_tokens(rows, 40)
    assert tokens.shape == (2, 40)
    assert mask.sum(1).tolist() == [40, 3]
    assert pad_tokens([np.arange(20, dtype=np.int32)], 128)[0].shape == (1, 32)
