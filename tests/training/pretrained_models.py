"""Small models of every supported type with their tokenizer and preprocessor, saved as their authors save them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, processors
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModel, PreTrainedModel

TOKENS = 32
"""Every text model reads so many."""
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("fear", "shadow", "cellar", "dance", "wedding", "rain", "letter", "engine", "race", "night", "town")
BYTES = sorted(ByteLevel.alphabet())


def _ids(*tokens: str) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def _word_pieces(*special: str) -> dict[str, int]:
    return _ids(*special, *LETTERS, *(f"##{letter}" for letter in LETTERS), ".", ",", "-", *WORDS)


def _modernbert_tokenizer() -> Any:
    special = ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]")
    tokenizer = Tokenizer(models.BPE(_ids(*BYTES, "Ġn", *special), [("Ġ", "n")], unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(special))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    named = dict(zip(("cls_token", "sep_token", "unk_token", "pad_token", "mask_token"), special, strict=True))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


ROBERTA_IDS = _ids("<s>", "<pad>", "</s>", "<unk>", *BYTES, "Ġn", "<mask>")
TOKENIZERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertTokenizer(vocab=_word_pieces("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")),
    "roberta": lambda: transformers.RobertaTokenizer(vocab=ROBERTA_IDS, merges=[("Ġ", "n")]),
    "mpnet": lambda: transformers.MPNetTokenizer(vocab=_word_pieces("<s>", "<pad>", "</s>", "[UNK]", "<mask>")),
    "modernbert": _modernbert_tokenizer,
    "clip": lambda: transformers.CLIPTokenizer(
        vocab=_ids(*BYTES, *(f"{byte}</w>" for byte in BYTES), "<|startoftext|>", "<|endoftext|>"), merges=[]
    ),
}
PREPROCESSORS: dict[str, Callable[[], Any]] = {
    "vit": lambda: transformers.ViTImageProcessorPil(
        size={"height": 48, "width": 48}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    ),
    "clip": lambda: transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}
    ),
    "siglip": lambda: transformers.SiglipImageProcessorPil(size={"height": 48, "width": 48}),
    "dinov2": lambda: transformers.BitImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 48, "width": 48}
    ),
}
_LONGEST = {"bert": TOKENS, "roberta": TOKENS + 2, "mpnet": TOKENS + 2, "modernbert": TOKENS, "clip": TOKENS}


def text_config(kind: str, vocabulary: int, special: dict[str, int]) -> Any:
    classes = {
        "bert": "BertConfig",
        "roberta": "RobertaConfig",
        "mpnet": "MPNetConfig",
        "modernbert": "ModernBertConfig",
    }
    made = getattr(transformers, classes.get(kind, "CLIPTextConfig"))
    if kind == "modernbert":
        special = special | {"local_attention": 8}  # of 32 tokens: the layers that attend to near ones only do so here
    return made(vocab_size=vocabulary, max_position_embeddings=_LONGEST[kind], **SIZES, **special)


def image_config(kind: str) -> Any:
    if kind == "dinov2":
        sizes = {name: value for name, value in SIZES.items() if name != "intermediate_size"}
        return transformers.Dinov2Config(image_size=64, patch_size=16, **sizes)
    name = {"vit": "ViTConfig", "clip": "CLIPVisionConfig", "siglip": "SiglipVisionConfig"}[kind]
    return getattr(transformers, name)(image_size=48, patch_size=16, **SIZES)


def save_text_model(kind: str, folder: Path) -> PreTrainedModel:
    tokenizer = TOKENIZERS[kind]()
    tokenizer.save_pretrained(folder)
    names = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    special = {name: value for name in names if isinstance(value := getattr(tokenizer, name, None), int)}
    return _save(text_config(kind, len(tokenizer), special), folder)


def save_image_model(kind: str, folder: Path) -> PreTrainedModel:
    PREPROCESSORS[kind]().save_pretrained(folder)
    return _save(image_config(kind), folder)


def _save(config: Any, folder: Path) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModel.from_config(config)
    model.save_pretrained(folder)
    return model
