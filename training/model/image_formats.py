"""The pictures that a pretrained image tower expects: their size, and the mean and deviation of their colours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from storage.errors import InputError
from training.data.images import ImageFormat
from training.model.pretrained import IF_PRESENT, IMAGE, read_model

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
    if (fixed and pixels != config.image_size) or pixels % config.patch_size:
        raise InputError(
            f"The preprocessor_config.json of {name!r} makes pictures of {pixels} pixels, and the model reads "
            f"{config.image_size} in patches of {config.patch_size}; give a model whose files agree with "
            f"{IMAGE.option}"
        )
    if not given.get("do_normalize", True):
        return ImageFormat(pixels, (0.0,) * 3, (1.0,) * 3)
    mean, deviation = given.get("image_mean") or documented.mean, given.get("image_std") or documented.deviation
    if min(_three(deviation)) <= 0:
        raise InputError(
            f"The preprocessor_config.json of {name!r} divides colours by {deviation}; correct image_std, which is "
            "above 0"
        )
    return ImageFormat(pixels, _three(mean), _three(deviation))


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


def _three(value: float | list[float] | tuple[float, ...]) -> tuple[float, float, float]:
    """Return one number per colour, from three or from one for all."""
    red, green, blue = (value,) * 3 if isinstance(value, int | float) else value
    return float(red), float(green), float(blue)


def _preprocessor(name: str, where: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a model's preprocessor_config.json, or of its part of processor_config.json; else none."""
    for file in ("preprocessor_config.json", "processor_config.json"):
        path = cached_file(name, file, **IF_PRESENT, **where)
        if path is not None:
            values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            return dict(values.get("image_processor", values))
    return {}
