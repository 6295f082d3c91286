"""The text tower, such as BERT: pretrained with its tokenizer, or from configuration; one vector per text.

Models differ in where their training put the summary of a text, in the form of mask that they take, and in how they
number positions.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask
from transformers.utils import cached_file

from storage.errors import InputError
from training.data.tokenizer import with_markers
from training.model.pretrained_weights import IF_PRESENT, TEXT, checked_type, pretrained_tower, read_model, tower_from
from training.settings import TextSettings

MARKERS = 2
"""Tokens that are added to a pretrained tokenizer."""
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")


def text_tower(settings: TextSettings, tokenizer_size: int) -> PreTrainedModel:
    """Return a text tower, pretrained or a BERT of the given sizes, with an embedding for every token.

    Raises `InputError` when pretrained weights cannot be loaded or read fewer tokens than the settings say.
    """
    if settings.pretrained:
        tower = pretrained_tower(settings.pretrained, TEXT)
        check_tokens(tower, settings.pretrained, settings.max_tokens, tokenizer_size, MARKERS)
        if tokenizer_size > tower.config.vocab_size:  # a larger table is padded, and stays as it is
            tower.resize_token_embeddings(tokenizer_size, mean_resizing=False)
        return tower
    config = BertConfig(
        vocab_size=tokenizer_size,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
        max_position_embeddings=settings.max_tokens,
    )
    return tower_from(config.to_dict())


def pretrained_tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of a pretrained text tower with the two marker tokens added.

    Raises `InputError` when there is none, or when it has no fast form (a tokenizer.json or what makes one).
    """

    def load(**where: Any) -> Any:
        checked_type(name, TEXT, where)
        if not any(cached_file(name, file, **IF_PRESENT, **where) for file in _TOKENIZER_FILES):
            return None  # the library would make a tokenizer that knows no word
        return AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)

    loaded = read_model(name, TEXT, load)
    fast = getattr(loaded, "backend_tokenizer", None)
    if fast is None:
        raise InputError(
            f"The pretrained model {name!r} has no tokenizer.json, vocab.txt or vocab.json to make a tokenizer from; "
            f"give a model that has one with {TEXT.option}"
        )
    return with_markers(Tokenizer.from_str(fast.to_str()))


def check_tokens(tower: PreTrainedModel, name: str, max_tokens: int, tokenizer_size: int, added: int) -> None:
    """Raise `InputError` for more tokens than the tower has positions, or a tokenizer with ids that it does not know.

    `added` of the `tokenizer_size` ids are new: they get embeddings of their own.
    """
    limit = token_limit(tower)
    if max_tokens > limit:
        raise InputError(
            f"The pretrained model {name!r} reads at most {limit} tokens, and the settings allow {max_tokens}; "
            f"give --set text.max_tokens={limit}"
        )
    known = tower.config.vocab_size
    if not 0 <= padding_id(tower) < known:
        raise InputError(
            f"The config.json of {name!r} has the pad_token_id {padding_id(tower)}, which is none of its {known} "
            "tokens; restore the model's own config.json"
        )
    if tokenizer_size - added > known:
        raise InputError(
            f"The tokenizer of {name!r} has {tokenizer_size - added} tokens and the model {known} embeddings: they do "
            "not belong together; restore the model's own tokenizer files"
        )


def token_limit(tower: PreTrainedModel) -> int:
    """Return the number of tokens that a text tower has positions for.

    Types that number positions from behind the padding id (RoBERTa, MPNet) have as many fewer.
    """
    return int(tower.config.max_position_embeddings) - (padding_id(tower) + 1 if _numbers_from_padding(tower) else 0)


def padding_id(tower: PreTrainedModel) -> int:
    """Return the id that a text tower takes for padding; RoBERTa and MPNet tell positions by it."""
    known = tower.embeddings.padding_idx if _numbers_from_padding(tower) else tower.config.pad_token_id
    return int(known or 0)


def _numbers_from_padding(tower: PreTrainedModel) -> bool:
    return tower.config.model_type in ("roberta", "xlm-roberta", "mpnet")


def text_summary(tower: PreTrainedModel, tokens: Tensor, mask: Tensor, pooling: Literal["summary", "mean"]) -> Tensor:
    """Return one vector per text [F, width], from tokens and mask [F, length].

    The summary is the first token, or in CLIP, whose tokens see only those before them, the last.
    """
    padding = padding_id(tower)
    if padding:
        tokens = tokens.masked_fill(~mask, padding)
    states: Tensor = tower(input_ids=tokens, attention_mask=attention_mask(tower, mask)).last_hidden_state
    if pooling == "mean":
        return _masked_mean(states, mask)
    if tower.config.model_type == "clip_text_model":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    return states[:, 0]


def attention_mask(tower: PreTrainedModel, mask: Tensor) -> Any:
    """Return what a text tower needs in order to attend to no padding; `mask` is bool [F, length].

    Given two dimensions, the library asks whether there is any padding at all, for which the host waits until the
    device has computed everything before. On a CPU that costs nothing and saves work. Elsewhere, and where the
    question would break a compiled graph, the mask comes complete, and nothing is asked.
    """
    asks = mask.device.type == "cpu" and not torch.compiler.is_compiling()
    return mask if asks else complete_mask(tower, mask)


def complete_mask(tower: PreTrainedModel, mask: Tensor) -> Any:
    """Return which tokens attend to which, bool [F, 1, length, length], from the mask of texts, bool [F, length].

    For ModernBERT, some layers of which attend to near tokens only, a mask for each kind of layer by its name. For
    MPNet, which adds it to the scores, 0 where a token attends and else the lowest number.
    """
    if tower.config.model_type == "modernbert":
        like = mask[:, :, None].float()
        masks = {"full_attention": create_bidirectional_mask}
        masks["sliding_attention"] = create_bidirectional_sliding_window_mask
        return {
            layers: create(
                config=tower.config, inputs_embeds=like, attention_mask=mask, allow_is_bidirectional_skip=False
            )
            for layers, create in masks.items()
        }
    length = mask.shape[1]
    wide = mask[:, None, None, :].expand(-1, 1, length, length)
    if tower.config.model_type == "clip_text_model":  # whose tokens attend to those before them
        return wide & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
    if tower.config.model_type == "mpnet":
        return torch.zeros(wide.shape, device=mask.device).masked_fill(~wide, torch.finfo(torch.float32).min)
    return wide


def _masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the tokens that are not padding: [F, length, width] to [F, width]."""
    weights = mask[:, :, None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)
