"""The image tower, such as ViT: pretrained or from configuration, the pictures that it expects, one vector per picture.

A pretrained tower keeps its own sizes, but a ViT that the settings adapt gets another patch size and fewer blocks:
patch kernel and positions are resampled, blocks cut.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, ViTConfig
from transformers.utils import cached_file

from storage.errors import InputError
from training.data.image_crops import ImageFormat
from training.model.pretrained_weights import IF_PRESENT, IMAGE, pretrained_tower, read_model, tower_from
from training.settings import IMAGE_PIXELS, ImageSettings

_DOCUMENTED = {
    "vit": ImageFormat(),
    "siglip_vision_model": ImageFormat(),
    "clip_vision_model": ImageFormat(
        mean=(0.48145466, 0.4578275, 0.40821073), deviation=(0.26862954, 0.26130258, 0.27577711)
    ),
    "dinov2": ImageFormat(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
}
"""What the documentation of each image type gives, for a model without preprocessor_config.json; its own size counts
for all but DINOv2, which is documented with 224 pixels whatever it was trained with."""
_CROPPED = ("clip_vision_model", "dinov2")
"""Types whose image processor crops the middle unless its file says otherwise; the others only resize."""


def image_tower(settings: ImageSettings) -> tuple[PreTrainedModel, ImageFormat]:
    """Return an image tower and the pictures it expects: pretrained, or a ViT of the given sizes.

    Raises `InputError` when pretrained weights cannot be loaded or adapted.
    """
    if settings.pretrained:
        tower = pretrained_tower(settings.pretrained, IMAGE)
        form = image_format(settings.pretrained, tower)
        return (adapted_vit(tower, settings, form.pixels) if settings.adapt else tower), form
    config = ViTConfig(
        image_size=IMAGE_PIXELS,
        patch_size=settings.patch_pixels,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.mlp,
    )
    return tower_from(config.to_dict()), ImageFormat()


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


def image_format(name: str, tower: PreTrainedModel) -> ImageFormat:
    """Return the picture size, mean and deviation that a pretrained image tower expects.

    From its preprocessor_config.json, or where it has none, those in the documentation of its type.
    Raises `InputError` for pictures that are not square or that the tower has no positions for, and for files that
    say nothing of the kind.
    """
    form: ImageFormat = read_model(name, IMAGE, lambda **where: _format(name, tower.config, _preprocessor(name, where)))
    return form


def _format(name: str, config: PreTrainedConfig, given: Mapping[str, Any]) -> ImageFormat:
    documented = _DOCUMENTED[config.model_type]
    pixels = _picture_size(name, config, given)
    fixed = config.model_type != "dinov2"  # resamples its positions to any size
    # Where its patches leave a rest, as 384 pixels in patches of 14, a model is trained without these last pixels.
    if pixels != config.image_size and (fixed or pixels < 1 or pixels % config.patch_size):
        raise InputError(
            f"The preprocessor_config.json of {name!r} makes pictures of {pixels} pixels, and the model reads "
            f"{config.image_size} in patches of {config.patch_size}; give a model whose files agree with "
            f"{IMAGE.option}"
        )
    if config.num_channels != 3:
        raise InputError(
            f"The pretrained model {name!r} reads pictures of {config.num_channels} channels, and a film's picture has "
            f"red, green and blue; give a model of colours with {IMAGE.option}"
        )
    if not given.get("do_normalize", True):
        return ImageFormat(pixels, (0.0,) * 3, (1.0,) * 3)
    mean = _three("image_mean", given.get("image_mean") or documented.mean)
    deviation = _three("image_std", given.get("image_std") or documented.deviation)
    if min(deviation) <= 0:
        raise InputError(
            f"The preprocessor_config.json of {name!r} divides colours by {deviation}; correct image_std, which is "
            "above 0"
        )
    return ImageFormat(pixels, mean, deviation)


def _picture_size(name: str, config: PreTrainedConfig, given: Mapping[str, Any]) -> int:
    """Return the width and height of the pictures that a preprocessor makes in the end."""
    documented = min(_DOCUMENTED["dinov2"].pixels, config.image_size)
    default = documented if config.model_type == "dinov2" else config.image_size
    is_cropped = given.get("do_center_crop", config.model_type in _CROPPED)
    size = (given.get("crop_size") if is_cropped else None) or given.get("size") or default
    if isinstance(size, int):
        return size
    sides = {int(size[side]) for side in ("height", "width", "shortest_edge") if side in size}
    if len(sides) != 1:
        raise InputError(
            f"The preprocessor_config.json of {name!r} makes pictures of size {size}, which are not square; "
            f"give a model of square pictures with {IMAGE.option}"
        )
    return sides.pop()


def _three(field: str, value: float | list[float] | tuple[float, ...]) -> tuple[float, float, float]:
    """Return one number per colour, from three or from one for all. Raises `ValueError` for what is none."""
    colours = (value,) * 3 if isinstance(value, int | float) else tuple(value)
    if len(colours) != 3 or not all(isinstance(one, int | float) and math.isfinite(one) for one in colours):
        raise ValueError(f"the {field} of its preprocessor_config.json is {value!r}, not a number per colour")
    red, green, blue = map(float, colours)
    return red, green, blue


def _preprocessor(name: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a model's preprocessor_config.json, or of its part of processor_config.json; else none."""
    for file in ("preprocessor_config.json", "processor_config.json"):
        path = cached_file(name, file, **IF_PRESENT, **where)
        if path is not None:
            values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            return dict(values.get("image_processor", values))
    return {}


def image_format_of(towers: dict[str, dict[str, Any]]) -> ImageFormat:
    """Return the pictures that stored towers expect; runs of earlier versions, which name none, have the default."""
    stored = towers.get("image_format")
    if stored is None:
        return ImageFormat()
    return ImageFormat(stored["pixels"], tuple(stored["mean"]), tuple(stored["deviation"]))


def adapted_vit(source: PreTrainedModel, settings: ImageSettings, pixels: int) -> PreTrainedModel:
    """Return a ViT with the patch size and the first blocks that the settings name.

    Raises `InputError` for other types than ViT and for more blocks than there are.
    """
    config = source.config
    if config.model_type != "vit" or settings.layers > config.num_hidden_layers or pixels % settings.patch_pixels:
        raise InputError(
            f"The settings adapt the image tower to patches of {settings.patch_pixels} pixels and {settings.layers} "
            f"blocks, which needs a ViT with as many blocks and pictures of a multiple of the patch; "
            f"{settings.pretrained!r} is a {config.model_type} with {config.num_hidden_layers} blocks and pictures of "
            f"{pixels} pixels: give another with {IMAGE.option}, or --set image.adapt=false to use it as it is"
        )
    if (config.patch_size, config.num_hidden_layers) == (settings.patch_pixels, settings.layers):
        return source
    sizes = {"patch_size": settings.patch_pixels, "num_hidden_layers": settings.layers}
    tower = tower_from({**config.to_dict(), **sizes})
    tower.load_state_dict(resampled_vit(source.state_dict(), settings.patch_pixels, settings.layers, pixels))
    return tower


def resampled_vit(weights: dict[str, Tensor], patch_pixels: int, layers: int, pixels: int) -> dict[str, Tensor]:
    """Return a ViT's weights for another patch size and fewer blocks.

    The patch embedding is resampled by the pseudo-inverse of bilinear resizing (Beyer et al. 2023, FlexiViT), so that
    an enlarged patch and the enlarged kernel have the same product. Positions are resampled bicubically.
    """
    resampled = {
        name: value
        for name, value in weights.items()
        if not name.startswith("layers.") or int(name.split(".")[1]) < layers
    }
    kernel = resampled["embeddings.patch_embeddings.projection.weight"]
    resampled["embeddings.patch_embeddings.projection.weight"] = resampled_kernel(kernel, patch_pixels)
    positions = resampled["embeddings.position_embeddings"]  # [1, 1 + side * side, width]
    side, new_side = round((positions.shape[1] - 1) ** 0.5), pixels // patch_pixels
    grid = positions[:, 1:].view(1, side, side, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (new_side, new_side), mode="bicubic", antialias=True)
    resampled["embeddings.position_embeddings"] = torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return resampled


def resampled_kernel(kernel: Tensor, patch_pixels: int) -> Tensor:
    """Return a patch kernel [width, 3, p, p] for patches of another size; computed in float64."""
    old = kernel.shape[-1]
    basis = torch.eye(old * old, dtype=torch.float64).view(-1, 1, old, old)
    resize = F.interpolate(basis, (patch_pixels, patch_pixels), mode="bilinear").flatten(1)  # [old², new²]
    flat = kernel.double().flatten(2) @ torch.linalg.pinv(resize).T
    resampled: Tensor = flat.view(*flat.shape[:2], patch_pixels, patch_pixels).to(kernel.dtype)
    return resampled
