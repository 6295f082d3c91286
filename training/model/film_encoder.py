"""The film encoder: text and image towers, attention between them, and what takes the place of a missing part.

It serves all systems: it projects each tower's output to 256 numbers, lets these one or two tokens attend to each other
(Mercea et al. 2022), and adds the projections back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from training.data.film_inputs import Films
from training.data.image_crops import ImageFormat
from training.model.attention_and_pooling import AttentionLayer, CrossAttention, Scores, pool
from training.model.image_tower import image_summary
from training.model.text_tower import text_summary
from training.settings import Settings, answers_any_parts
from training.systems import System

FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_MLP = 3, 100, 64
"""Sizes of the attention layer between modalities (Mercea et al. 2022)."""
FUSION_DROPOUT = 0.2


class FilmEncoder(nn.Module):
    """Encode films with a system's towers and cross-attention: [F, modalities, width], text first.

    Where the settings let parts be missing, a missing modality is attended to by none, and a learned vector takes its
    place in what is returned: nothing of its input, which may be anything, has an effect.
    """

    def __init__(
        self,
        system: System,
        settings: Settings,
        text: PreTrainedModel | None,
        image: PreTrainedModel | None,
        image_format: ImageFormat,
    ) -> None:
        super().__init__()
        self.text, self.image = text, image
        self.frozen_text = system.frozen or settings.text.frozen
        self.frozen_image = system.frozen or settings.image.frozen
        self.pooling = settings.text.pooling
        self.widths = [tower.config.hidden_size for tower in (text, image) if tower is not None]
        width = settings.head.width
        self.is_cross = settings.head.fusion == "cross" and system.loss != "triplet"
        if self.is_cross:
            self.project = nn.ModuleList(nn.Linear(size, width) for size in self.widths)
            self.attend: nn.Module = CrossAttention(width, FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_DROPOUT)
        else:
            self.project = nn.ModuleList(
                nn.Sequential(nn.LayerNorm(size), nn.Linear(size, width, bias=False)) for size in self.widths
            )
            self.positions = nn.Parameter(torch.randn(1, len(self.widths), width))
            self.attend = AttentionLayer(width, FUSION_HEADS, FUSION_HEAD_WIDTH, FUSION_MLP, FUSION_DROPOUT)
        if answers_any_parts(system, settings):
            self.absent = nn.Parameter(torch.zeros(1, len(self.widths), width))
        self.text_scores = None
        if text is not None and settings.data.paragraphs == "all" and settings.text.paragraph_pooling == "attention":
            self.text_scores = Scores(self.widths[0])
        deviation = torch.tensor(image_format.deviation)[:, None, None]
        mean = torch.tensor(image_format.mean)[:, None, None]
        self.colour_scale: Tensor
        self.register_buffer("colour_scale", 255 * deviation, persistent=False)
        self.colour_shift: Tensor
        self.register_buffer("colour_shift", mean / deviation, persistent=False)
        for tower in self._frozen_towers():
            tower.requires_grad_(False).eval()

    def forward(self, films: Films) -> Tensor:
        """Return [F, modalities, width]: each projection plus what it attended to in the others."""
        outputs = self._tower_outputs(films)
        z = torch.stack([project(output) for project, output in zip(self.project, outputs, strict=True)], 1)
        if self.is_cross:
            result: Tensor = self.attend(z, films.given)
        else:
            result = z + self.attend(z + self.positions, films.given)
        if films.given is not None:
            result = torch.where(films.given[:, :, None], result, self.absent.to(result.dtype))
        return result

    def train(self, mode: bool = True) -> FilmEncoder:
        """Set the training mode; frozen towers stay in evaluation mode, as dropout would only add noise to them."""
        super().train(mode)
        for tower in self._frozen_towers():
            tower.eval()
        return self

    def encode_texts(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return what the text tower returns for tokens [T, length]: [T, width]."""
        assert self.text is not None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_text):
            return text_summary(self.text, tokens, mask, self.pooling)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Return what the image tower returns for pixels, uint8 [F, 3, side, side]: [F, width]."""
        assert self.image is not None
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_image):
            return image_summary(self.image, pixels.float() / self.colour_scale - self.colour_shift)

    def _tower_outputs(self, films: Films) -> list[Tensor]:
        """Return [F, width of the tower] for each tower; zeros where no film has an input for it."""
        outputs = []
        if self.text is not None:
            outputs.append(self._pooled_texts(films))
        if self.image is not None:
            features = films.image_features
            if features is None and films.pixels is not None:
                features = self.encode_images(films.pixels)
            outputs.append(self._nothing(films, -1) if features is None else features)
        return outputs

    def _pooled_texts(self, films: Films) -> Tensor:
        features = films.text_features
        if features is None and films.tokens is not None and films.token_mask is not None:
            features = self.encode_texts(films.tokens, films.token_mask)
        if features is None:
            return self._nothing(films, 0)
        if films.text_film is None:
            return features
        scores = None if self.text_scores is None else self.text_scores(features)
        return pool(features, films.text_film, len(films), scores)

    def _nothing(self, films: Films, tower: int) -> Tensor:
        return next(self.project.parameters()).new_zeros(len(films), self.widths[tower])

    def _frozen_towers(self) -> list[nn.Module]:
        towers = ((self.text, self.frozen_text), (self.image, self.frozen_image))
        return [tower for tower, frozen in towers if tower is not None and frozen]
