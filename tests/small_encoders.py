"""Small audio models of each type, built from configuration and saved as a folder of weights as the hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def save_clap(folder: Path, *, window_seconds: int = 10) -> Path:
    """Save a CLAP model: 48 kHz, a window of ten seconds, and a text side with a tokenizer of letters."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    config = ClapConfig(
        text_config={
            "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "projection_dim": 12,
        },
        audio_config={
            "hidden_size": 64, "patch_embeds_hidden_size": 16, "depths": [1, 1, 1], "num_attention_heads": [1, 1, 2],
            "num_hidden_layers": 3, "projection_dim": 12, "spec_size": 128, "window_size": 4, "num_mel_bins": 16,
            "enable_fusion": False,
        },
        projection_dim=12,
    )  # fmt: skip
    extractor = ClapFeatureExtractor(feature_size=16, max_length_s=window_seconds, truncation="rand_trunc")
    save(folder, ClapModel(config), extractor)
    save_letters(folder)
    return folder


def save_ast(folder: Path, *, window_frames: int = 1024) -> Path:
    """Save an AST model: 16 kHz, a window of 10.24 seconds or as given."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    config = ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=window_frames
    )
    return save(folder, ASTModel(config), ASTFeatureExtractor(max_length=window_frames))


def save_speech(folder: Path, kind: str = "Wav2Vec2") -> Path:
    """Save a Wav2Vec2 or HuBERT model: 16 kHz, a waveform of any length."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8, 8),
        conv_stride=(8, 8, 5), conv_kernel=(10, 8, 5), num_feat_extract_layers=3, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    model = getattr(transformers, f"{kind}Model")(config)
    return save(folder, model, transformers.Wav2Vec2FeatureExtractor())


def save(folder: Path, model: Any, extractor: Any, card: str = "---\nlicense: apache-2.0\n---\n") -> Path:
    """Save weights, configuration, feature extractor and model card."""
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    (folder / "README.md").write_text(card)
    return folder


def save_letters(folder: Path) -> None:
    """Save a tokenizer that knows single letters."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, **{chr(97 + n): 4 + n for n in range(26)}}
    letters = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    letters.pre_tokenizer = Split("", "isolated")
    letters.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)


def change(folder: Path, file: str, **values: Any) -> Path:
    """Change values of a JSON file in a folder."""
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**content, **values}))
    return folder


SAVERS: dict[str, Callable[[Path], Path]] = {
    "clap": save_clap,
    "audio-spectrogram-transformer": save_ast,
    "wav2vec2": save_speech,
    "hubert": lambda folder: save_speech(folder, "Hubert"),
}
