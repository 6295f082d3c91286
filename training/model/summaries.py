"""One vector per text and per picture from a pretrained tower, and which of a text's tokens attend to which.

Models differ in where their training put the summary of an input, and in the form of mask that they take.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask

from training.model.pretrained import padding_id


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


def image_summary(tower: PreTrainedModel, pixels: Tensor) -> Tensor:
    """Return one vector per picture [F, width]: what the tower's training put its summary in.

    The first token, in CLIP after its layer norm; SigLIP has no such token but a layer that pools, or else the mean.
    """
    output, model_type = tower(pixel_values=pixels), tower.config.model_type
    if model_type in ("clip_vision_model", "siglip_vision_model") and output.pooler_output is not None:
        pooled: Tensor = output.pooler_output
        return pooled
    states: Tensor = output.last_hidden_state
    return states.mean(1) if model_type == "siglip_vision_model" else states[:, 0]


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
