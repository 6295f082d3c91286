"""A pretrained ViT for another patch size and fewer blocks: patch kernel and positions resampled, blocks cut."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from storage.errors import InputError
from training.model.pretrained import IMAGE, tower_from
from training.setting_groups import ImageSettings


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
